package host

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// A selfFacts is the agent's own entry, as a reader takes it.
type selfFacts struct {
	Rev     string `json:"config_rev"`
	Plugins int    `json:"plugins"`
	Started int64  `json:"started"`
	State   string `json:"state_dir"`
	Files   []struct {
		Name, Digest string
		Loaded       bool
	} `json:"config_files"`
}

// The agent tells by which config it runs, and another one at once.
func TestAgentInfo(t *testing.T) {
	r := rigged(t, strings.Replace(couple, "%s", "", 1), func(o *Options) { o.State = "/var/lib/pacewire" })
	read := func() (f selfFacts) {
		t.Helper()
		text, err := json.Marshal(r.h.selfInfo())
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := read()
	if first.Rev == "" || first.Rev == "0" || first.Plugins != 2 || first.Started != r.h.begun.Unix() || first.State != "/var/lib/pacewire" {
		t.Errorf("%+v", first)
	}
	entry := slot{telemetry.AgentName, telemetry.DataInfo}
	is := func(f telemetry.Facts) bool {
		text, err := f.Encode(telemetry.MsgPack)
		rec := r.h.inventory.at(entry)
		return err == nil && rec != nil && rec.item.Digest == telemetry.DigestOf(text) && !rec.told
	}
	r.reloaded(strings.Replace(couple, "%s", ", owner: ops", 1))
	second := read()
	if second.Rev == first.Rev || len(second.Files) != 1 || len(second.Files[0].Digest) != 32 || second.Files[0].Loaded {
		t.Errorf("%+v, before %+v", second, first)
	}
	bustest.Wait(t, soon, "the entry says so", func() bool { return is(r.h.selfInfo()) })
	r.reloaded(strings.Replace(couple, "%s", ", owner: ops", 1))
	if again := read(); again.Rev != second.Rev || again.Files[0].Digest != second.Files[0].Digest {
		t.Errorf("%+v, before %+v", again, second)
	}
}
