package leaktest

import (
	"sync/atomic"
	"testing"
	"time"
)

// tests are some that end with a code, and leave a goroutine.
type tests struct {
	code int
	left func()
}

func (s tests) Run() int {
	go s.left()
	return s.code
}

// What ends in time is no leak, and is waited for; after a failure nobody looks.
func TestPatient(t *testing.T) {
	var ended atomic.Bool
	left := func() {
		time.Sleep(2 * time.Second) // longer than goleak waits
		ended.Store(true)
	}
	if code := (patient{tests{0, left}}).Run(); code != 0 || !ended.Load() {
		t.Errorf("code %d, and what was left has ended: %v", code, ended.Load())
	}
	end := make(chan struct{})
	defer close(end)
	if code := (patient{tests{1, func() { <-end }}}).Run(); code != 1 {
		t.Errorf("code %d", code)
	}
}
