// Package leaktest looks for goroutines that outlive the tests of a package.
package leaktest

import (
	"time"

	"go.uber.org/goleak"
)

// limit is how long what was closed may take to end: who closes a connection does not wait for all that served it.
const limit = 30 * time.Second

// Main runs the tests of a package and ends the program: with an error when one has failed, or when goroutines are left that do not end.
func Main(m goleak.TestingM) { goleak.VerifyTestMain(patient{m}, Starter()) }

// Starter is the one goroutine that is no leak: it starts child processes, for as long as the program runs.
func Starter() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/pacewire/pacewire/internal/process.spawn")
}

// patient are tests that have ended when their goroutines have.
type patient struct{ tests goleak.TestingM }

// Run runs the tests, and returns their exit code.
func (p patient) Run() int {
	code := p.tests.Run()
	for end := time.Now().Add(limit); code == 0 && goleak.Find(Starter()) != nil && time.Now().Before(end); {
	}
	return code
}
