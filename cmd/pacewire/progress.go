package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells on a terminal what is waited for, once that takes longer than a second, until done is called.
func (a *app) progress(text string) (done func()) {
	if !isTerminal(a.err) || a.flags.quiet {
		return func() {}
	}
	return waiting(a.err, text)
}

// waiting writes text and the seconds since the call, anew each second. In the end nothing of it is left.
func waiting(w io.Writer, text string) (done func()) {
	end := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for seconds := 1; ; seconds++ {
			select {
			case <-end:
				return
			case <-t.C:
			}
			width, _ := terminalSize(w)
			_, _ = fmt.Fprintf(w, "\r%s%s", clearLine, cut(fmt.Sprintf("%s ... %d s", text, seconds), width-1))
			if seconds == 1 {
				defer func() { _, _ = io.WriteString(w, "\r"+clearLine) }()
			}
		}
	})
	return func() {
		close(end)
		wait.Wait()
	}
}
