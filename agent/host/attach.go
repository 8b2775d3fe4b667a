package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

// environ returns the environment by which somebody else starts the plugin.
func (e *entry) environ() (telemetry.PluginEnv, error) {
	i := e.current()
	if !i.attached() {
		return telemetry.PluginEnv{}, refuse(telemetry.FaultDenied,
			"%s is started by the agent: write attached: true in its entry if somebody else is to do that", e.name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	env := slices.DeleteFunc(slices.Clone(i.plan.env), func(v string) bool { return !strings.HasPrefix(v, "PACEWIRE_") })
	if i.creds != "" {
		env = append([]string{"PACEWIRE_CREDS=" + i.creds}, env...)
	}
	return telemetry.PluginEnv{Environ: env}, nil
}

// attach lets whoever starts the plugin on the bus, as long as the config has it.
func (i *instance) attach() error {
	e := i.entry
	file, revoke, err := e.host.credentials(i.plan)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	e.mu.Lock()
	i.creds, i.revoke = file, revoke
	e.mu.Unlock()
	return nil
}

// detach ends what attach began.
func (i *instance) detach() {
	e := i.entry
	e.mu.Lock()
	revoke := i.revoke
	i.creds, i.revoke = "", nil
	e.mu.Unlock()
	if revoke != nil {
		revoke()
	}
}
