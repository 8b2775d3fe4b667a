package embedded

import (
	"context"
	"os/exec"
	"sync"
	"testing"
)

// A process that starts children all the time, as an agent may, takes its own store again whenever it likes.
func TestLockWhileChildrenStart(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var children sync.WaitGroup
	for range 4 {
		children.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "true").Run() // ended by stop
			}
		})
	}
	dir := t.TempDir()
	for range 300 {
		file, err := lockStore(dir)
		if err != nil {
			t.Error(err)
			break
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	children.Wait()
}
