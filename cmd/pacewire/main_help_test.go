package main

import "testing"

// The help of a verb that there is not is no help.
func TestHelpOfNothing(t *testing.T) {
	run := place(t)
	f := func(code int, word string, args ...string) {
		t.Helper()
		expect(t, run(args...), code, word)
	}
	f(exitUsage, `pacewire has no verb "wire"`, "wire", "--help")
	f(exitUsage, "did you mean pacewire doctor?", "docter", "-h")
	f(exitUsage, `pacewire plugin has no verb "lst"`, "plugin", "lst", "--help")
	f(0, "Usage:", "--help")
	f(0, "Usage:", "-c", "x.yaml", "--help")
	f(0, "Usage:", "plugin", "--help")
	f(0, "Usage:", "plugin", "list", "--help")
	f(0, "Usage:", "help", "--help")
	f(0, "Usage:", "help", "plugin")
}
