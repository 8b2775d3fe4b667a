package exec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// A command that takes longer than its interval, and does not mind being told so, never runs twice at once: what it is late for is missed,
// and counted.
func TestNeverTwice(t *testing.T) {
	dir := t.TempDir()
	settings, err := json.Marshal(map[string]any{
		"shell":       true,
		"command":     `trap '' TERM; mkdir "$DIR/busy" || echo twice >>"$DIR/twice"; sleep 0.3; rmdir "$DIR/busy"; echo a b=1`,
		"environment": map[string]string{"DIR": dir},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := bustest.New(t)
	agent := plugintest.NewAgent(t, b.URL, "web-1")
	agent.Give("slow", telemetry.Work{EveryMS: 50, TimeoutMS: 60_000, Config: settings})
	p := agent.Start(t, Define(), "slow")
	plugintest.Until(t, "ticks are missed", func() bool {
		r, err := agent.Ask(t.Context(), "slow", "ping", telemetry.CtlRequest{})
		if err != nil {
			return false // it is not up yet
		}
		stats, _, err := telemetry.DecodeStats(r.Payload)
		return err == nil && stats.Ticks >= 3 && stats.Missed >= 5
	})
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "twice")); err == nil {
		t.Error("it ran twice at once")
	}
}
