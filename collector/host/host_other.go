//go:build !linux

package host

import (
	"context"
	"fmt"
	"runtime"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
)

// New says that there is nothing to collect: the sections read the procfs of Linux.
func New(context.Context, Config, plugin.Env) (collector.Collector, error) {
	return nil, fmt.Errorf("host on %s: %w", runtime.GOOS, plugin.ErrNoData)
}
