package conform

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// says complains unless err says so; nothing: it has to be nil.
func says(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%v, want %q", err, want)
	}
}

// newStage is one of a plugin that nobody starts.
func newStage() *stage {
	k := &kit{results: map[string]Result{}}
	return &stage{ward: &ward{kit: k, name: "p.1", proc: &running{inst: "i"}}}
}

func beatAt(at time.Time, seq uint64) beat {
	return beat{at: at, Heartbeat: telemetry.Heartbeat{
		Version: 1, Host: hostName, Plugin: "p.1", Inst: "i", Seq: seq, IntervalMS: 1000, T1: at.UnixNano(), Mono1: int64(seq), UpMS: int64(seq),
	}}
}

func TestFollows(t *testing.T) {
	now := time.Now()
	f := func(change func(b *beat), want string) {
		t.Helper()
		b := beatAt(now, 4)
		change(&b)
		says(t, newStage().follows([]beat{beatAt(now, 3)}, b), want)
	}
	f(func(*beat) {}, "")
	f(func(b *beat) { b.Seq = 5 }, "seq is 5 after 3")
	f(func(b *beat) { b.Seq = 3 }, "seq is 3 after 3")
	f(func(b *beat) { b.Inst = "j" }, `inst is "j"`)
	f(func(b *beat) { b.T1 /= 1000 }, "want the wall clock in ns")
	f(func(b *beat) { b.T1 = 0 }, "")
	f(func(b *beat) { b.Mono1 = 2 }, "mono1 goes back")
	f(func(b *beat) { b.UpMS = 1 }, "up_ms goes back")
	says(t, newStage().follows(nil, beatAt(now, 9)), "") // that the first is 1 is for the hello
}

// The middle gap counts: one that is late says nothing.
func TestObeysInterval(t *testing.T) {
	f := func(want string, gaps ...time.Duration) {
		t.Helper()
		at := time.Now()
		all := []beat{beatAt(at, 1)}
		for i, gap := range gaps {
			at = at.Add(gap)
			all = append(all, beatAt(at, uint64(i)+2))
		}
		says(t, obeysInterval(all), want)
	}
	f("", interval, interval, interval, interval)
	f("", interval, 9*interval, interval, interval)
	f("", interval, interval/100, interval, interval)
	f("it beats each 4s", 4*interval, 4*interval, 4*interval, interval)
	f("it beats each 100ms", interval/10, interval/10, interval/10, interval)
	b := beatAt(time.Now(), 2)
	b.IntervalMS = 10_000
	says(t, obeysInterval([]beat{beatAt(time.Now(), 1), b}), "int_ms is 10000")
}

func TestExamine(t *testing.T) {
	f := func(change func(b *beat), want string) {
		t.Helper()
		b := beatAt(time.Now(), 1)
		b.Hello = true
		b.Manifest = &telemetry.Manifest{Kind: "collector", Program: "fan", API: 1, Schema: json.RawMessage(`{"type":"object"}`)}
		b.Inventory = []telemetry.InventoryItem{{Plugin: "p.1", Type: "info", Digest: telemetry.DigestOf([]byte("{}"))}}
		b.Digest, b.Items = telemetry.InventoryDigest(b.Inventory), 1
		change(&b)
		says(t, newStage().examine(b), want)
	}
	f(func(*beat) {}, "")
	f(func(b *beat) { b.Host = "kit" }, "PACEWIRE_HOST")
	f(func(b *beat) { b.Plugin = "fan" }, "PACEWIRE_PLUGIN")
	f(func(b *beat) { b.Inst = "j" }, "PACEWIRE_INST")
	f(func(b *beat) { b.Seq = 0 }, "has seq 1, and not 0")
	f(func(b *beat) { b.Hello = false }, "hello is not true")
	f(func(b *beat) { b.Manifest = nil }, "no manifest")
	f(func(b *beat) { b.Manifest.Kind = "filter" }, `kind is "filter"`)
	f(func(b *beat) { b.Manifest.Program = "" }, "no program")
	f(func(b *beat) { b.Manifest.API = 2 }, "api is 2")
	f(func(b *beat) { b.Manifest.Schema = nil }, "schema is no JSON object")
	f(func(b *beat) { b.Manifest.Schema = json.RawMessage(`{"type":"array"}`) }, "settings are an object")
	f(func(b *beat) { b.Manifest.Catalog = []telemetry.Desc{{Series: "fan"}} }, "has no fields")
	f(func(b *beat) { b.Digest[0]++ }, "a hello has the whole list")
	f(func(b *beat) { b.Items = 2 }, "inv_n is 2")
	f(func(b *beat) { b.Inventory, b.Items, b.Digest = nil, 0, telemetry.Digest{} }, "") // it has none
}

func TestExamineCatalog(t *testing.T) {
	f := func(d telemetry.Desc, want string) {
		t.Helper()
		says(t, examineCatalog([]telemetry.Desc{d}), want)
	}
	fields := map[string]string{"rpm": ""}
	f(telemetry.Desc{Series: "fan", Fields: fields, Types: map[string]string{"rpm": "i"}}, "")
	f(telemetry.Desc{Fields: fields}, "has no name")
	f(telemetry.Desc{Series: "fan", Fields: fields, Types: map[string]string{"rpm": "int"}}, `type "int"`)
	f(telemetry.Desc{Series: "fan", Fields: fields, Types: map[string]string{"speed": "i"}}, "of a field that there is")
}

func TestSameManifest(t *testing.T) {
	told := telemetry.Manifest{Kind: "collector", Program: "fan", API: 1}
	printed := told
	says(t, sameManifest(nil, printed, told), "")
	printed.Version = "2"
	says(t, sameManifest(nil, printed, told), "which the hello has not")
	says(t, sameManifest(nil, told, printed), "another version")
}
