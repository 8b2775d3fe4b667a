package host

import (
	"errors"
	"io/fs"
	"os"
)

// lookForRunDir tells once that the run folder was removed, and once that it is back: without it no verb on this machine finds
// the agent, and no plugin gets credentials. Only a start makes it with all that belongs in it.
func (h *Host) lookForRunDir() {
	if h.o.RunDir == "" {
		return
	}
	_, err := os.Stat(h.o.RunDir)
	gone := errors.Is(err, fs.ErrNotExist)
	if gone == h.homeless {
		return
	}
	if h.homeless = gone; gone {
		h.log.Error("run folder was removed: start the agent again", "folder", h.o.RunDir)
		return
	}
	h.log.Info("run folder is back: what was in it is there with the next start of the agent", "folder", h.o.RunDir)
}
