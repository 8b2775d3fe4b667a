package process

import (
	"os/exec"
	"sync"
)

// started are the children that we have started and not waited for, by pid: what
// else is our child was adopted. starting is held from before a child is there
// until it is in the list.
var (
	starting sync.Mutex
	started  sync.Map // int to *exec.Cmd
)

func startChild(cmd *exec.Cmd) error {
	starting.Lock()
	defer starting.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	started.Store(cmd.Process.Pid, cmd)
	return nil
}

func waitChild(cmd *exec.Cmd) error {
	defer started.CompareAndDelete(cmd.Process.Pid, cmd) // the next with this pid stays
	return cmd.Wait()
}
