package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/telemetry"
)

// followConfig reads the config again at a hang-up and, with watch, when a file of it has changed. A terminal that was closed
// hangs up too: that ends the context returned. calm is called at the end; more hang-ups, as terminals send, change nothing
// until then, and where they are ignored (nohup) they remain so.
func (a *app) followConfig(ctx context.Context, h *host.Host, c *configured, watch bool, log *slog.Logger) (_ context.Context, calm context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	hangUps := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangUps, syscall.SIGHUP)
	}
	changes := make(<-chan struct{})
	if watch {
		changes = watchFiles(ctx, c, log)
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.found.run(ctx) })
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-a.found.news:
				act(ctx, h, log, h.Rescan)
				continue
			case <-hangUps:
				if hungUp(a.out) {
					log.Warn("the terminal was closed: the agent ends")
					end()
					return
				}
			case <-changes:
			}
			act(ctx, h, log, func(ctx context.Context) (telemetry.ChangeList, error) { return h.Reload(ctx, false) })
		}
	})
	return ctx, func() {
		end()
		wg.Wait()
		signal.Stop(hangUps)
	}
}

// act changes what h runs, and logs what came of it.
func act(ctx context.Context, h *host.Host, log *slog.Logger, change func(context.Context) (telemetry.ChangeList, error)) {
	select {
	case <-h.Ready(): // before, there is nothing to compare with
	case <-ctx.Done():
		return
	}
	list, err := change(ctx)
	for _, w := range list.Warnings {
		log.Warn("config", "says", w)
	}
	for _, c := range list.Changes {
		switch {
		case c.Error != "":
			log.Error("plugin not changed", "plugin", c.Plugin, "action", c.Action, "error", c.Error)
		case c.Action != telemetry.ChangeNone:
			log.Info("plugin changed", "plugin", c.Plugin, "action", c.Action, "reason", c.Reason)
		}
	}
	if err != nil {
		log.Error("config not taken, everything goes on as before", "error", err)
		return
	}
	log.Info("config in force")
}
