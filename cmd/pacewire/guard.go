package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/internal/process"
)

// orphanTime is what processes have to end by SIGTERM when their agent is gone. The plugins themselves are gone with it;
// this is for what they have started.
const orphanTime = time.Second

// guard is the verb of the process that waits beside an agent, ends what that leaves behind, and reads what those print that
// are to go on without it.
func (a *app) guard() *cobra.Command {
	return &cobra.Command{
		Use: "guard MARK", Short: "End the processes of an agent when it has ended", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			if !process.AwaitParent(a.in) {
				return nil
			}
			return process.CleanUp(args[0], orphanTime)
		},
	}
}

// leaveNothing sees to it that no process of this agent survives it, however it ends, and that none is left of an agent
// before it with the same id; but for the processes that are kept in keepDirs, which this agent is to take over. Done ends
// what is there still and is not kept.
func leaveNothing(id string, log *slog.Logger, keepDirs ...string) (done func(), err error) {
	mark, met, err := process.Own(id, orphanTime, keepDirs...)
	switch {
	case err != nil:
		log.Error("processes of an earlier agent are still there", "error", err)
	case met > 0:
		log.Warn("processes of an earlier agent were ended", "count", met)
	}
	dismiss, err := guarded(mark, log)
	if err != nil {
		return nil, err
	}
	release, err := process.Adopt()
	if err != nil {
		dismiss()
		return nil, err
	}
	return func() {
		if met, err := process.Sweep(mark, 0); met > 0 {
			log.Warn("processes were left and are ended", "count", met, "error", err)
		}
		release()
		dismiss()
	}, nil
}

// guarded starts the guard, where there is something for it to do: with process 1 the kernel ends all others itself.
func guarded(mark string, log *slog.Logger) (dismiss func(), err error) {
	if runtime.GOOS != "linux" || os.Getpid() == 1 {
		return func() {}, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program itself: %w", err)
	}
	g, err := process.StartGuard([]string{exe, "guard", mark}, log)
	if err != nil {
		return nil, err
	}
	return g.Stop, nil
}
