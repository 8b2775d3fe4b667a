package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/pacewire/pacewire/agent/host"
)

// untilUpgrade returns a context that ends with ctx, or when SIGUSR2 announces that another agent is about to take the place of
// this one: then hubs are told so, and expect it, whatever signal a service manager sends besides. calm is called at the end.
func untilUpgrade(ctx context.Context, h *host.Host, log *slog.Logger) (_ context.Context, calm context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	asked, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(asked, syscall.SIGUSR2)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-asked:
				log.Info("leaving for an upgrade")
				h.Leave("upgrade")
				end()
			case <-over:
				return
			}
		}
	})
	return ctx, func() {
		end()
		close(over)
		wg.Wait()
		signal.Stop(asked)
	}
}
