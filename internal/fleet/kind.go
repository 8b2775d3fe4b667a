package fleet

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A kind is what all hosts of a fleet have in common.
type kind struct {
	o       Options
	begun   time.Time
	beat    beatStencil
	entries []dataStencil
}

const version = "0.0.0-simulated"

func newKind(o Options) kind {
	k := kind{o: o, begun: time.Now()}
	k.entries = append(k.entries, newDataStencil(telemetry.AgentName, telemetry.DataManifest, k.name(0), telemetry.Facts{
		"kind": "agent", "program": "pacewire", "version": version, "os": "linux", "arch": "amd64", "change": noChange,
	}))
	for i := range o.Plugins {
		plugin := fmt.Sprintf("plugin-%d", i)
		k.entries = append(k.entries,
			newDataStencil(plugin, telemetry.DataInfo, k.name(0), telemetry.Facts{
				"host": k.name(0), "text": strings.Repeat("facts. ", o.Inventory/o.Plugins/7+1)[:o.Inventory/o.Plugins], "change": noChange,
			}),
			newDataStencil(plugin, telemetry.DataStatus, k.name(0), telemetry.Facts{
				"kind": "collector", "program": "load", "version": version, "state": "running", "since": k.begun.UnixNano(), "restarts": 0,
				"attached": false, "cfg_rev": 1, "change": noChange,
			}))
	}
	k.beat = newBeatStencil(k.steady(&host{name: k.name(0), boot: bootOf(0), inst: newInst()}))
	return k
}

func (k *kind) name(i int) string { return fmt.Sprintf("%s%06d", k.o.Prefix, i) }

func bootOf(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }

func newInst() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// host makes the i-th host, which is not there yet.
func (k *kind) host(i int) *host {
	h := &host{name: k.name(i), boot: bootOf(i), index: i, at: -1, mode: gone, changes: make([]int, len(k.entries))}
	h.beats = bus.HeartbeatSubject(h.name, bus.Agent, bus.HTB)
	h.data = bus.HeartbeatSubject(h.name, bus.Agent, bus.PLG)
	h.items = make([]telemetry.InventoryItem, len(k.entries))
	for n := range k.entries {
		h.items[n] = k.entries[n].item(h, n)
	}
	h.digest = telemetry.InventoryDigest(h.items)
	return h
}

// changing is the entry that Change changes: the facts of the first plugin.
const changing = 1

func (k *kind) change(h *host) {
	h.changes[changing]++
	h.items[changing] = k.entries[changing].item(h, changing)
	h.digest = telemetry.InventoryDigest(h.items)
}

// steady is a beat without anything that belongs to a hello.
func (k *kind) steady(h *host) telemetry.Heartbeat {
	return telemetry.Heartbeat{
		Version: telemetry.ProtocolVersion, Host: h.name, Plugin: telemetry.AgentName, Name: h.name, Boot: h.boot, Inst: h.inst,
		Digest: h.digest, Items: uint64(len(k.entries)), Owner: k.o.Owner, ConfigRev: 1, State: "running",
		Plugins: &telemetry.PluginCounts{OK: uint64(k.o.Plugins)},
		Load:    map[string]float64{"load1": 0.42, "load5": 0.21, "rss": 31_457_280, "queue": 0},
		RTTUS:   310, OffsetUS: -12,
	}
}

func (k *kind) manifest(h *host) *telemetry.Manifest {
	m := &telemetry.Manifest{Kind: "agent", Program: "pacewire", Version: version, API: 1, OS: "linux", Arch: "amd64"}
	if k.o.Sites > 0 {
		m.Labels = map[string]string{"site": fmt.Sprintf("site-%d", h.index%k.o.Sites)}
	}
	return m
}
