package plugin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// An inventory is what a plugin can tell about itself and, when it keeps facts, about the host. Its digest is in every
// heartbeat, so that the agent knows when it has missed something.
type inventory struct {
	host, plugin, inst, version string

	mu       sync.Mutex
	config   telemetry.Digest
	manifest *facts
	info     *facts // nil: the plugin keeps none
	seq      uint64
}

// newInventory returns the inventory of a plugin that has only its manifest to tell.
func newInventory(o Options, inst string, d Definition) (*inventory, error) {
	text, err := json.Marshal(d.Manifest())
	if err != nil {
		return nil, err
	}
	var data telemetry.Facts
	if err := json.Unmarshal(text, &data); err != nil {
		return nil, err
	}
	encoded, err := data.Encode(telemetry.MsgPack)
	if err != nil {
		return nil, err
	}
	return &inventory{host: o.Host, plugin: cmp.Or(o.Process, o.Plugin), inst: inst, version: d.Version, manifest: &facts{
		data: data, at: time.Now(), size: len(encoded), digest: telemetry.DigestOf(encoded),
	}}, nil
}

// configured notes under which config facts are collected from here on.
func (v *inventory) configured(settings []byte) {
	sum := sha256.Sum256(settings)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.config = telemetry.Digest(sum[:16])
}

// keep stores f and reports whether it differs from what was there.
func (v *inventory) keep(f *facts) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	changed := v.info == nil || v.info.digest != f.digest || (v.info.fault == nil) != (f.fault == nil) ||
		f.fault != nil && f.fault.Code != v.info.fault.Code
	v.info = f
	return changed
}

// items returns what there is, with the age and the error of each.
func (v *inventory) items() []telemetry.RefreshItem {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := []telemetry.RefreshItem{v.item(telemetry.DataManifest, v.manifest)}
	if v.info != nil {
		list = append(list, v.item(telemetry.DataInfo, v.info))
	}
	return list
}

func (v *inventory) item(typ string, f *facts) telemetry.RefreshItem {
	it := telemetry.RefreshItem{Size: int64(f.size), AgeMS: time.Since(f.at).Milliseconds(), Error: f.fault}
	it.Plugin, it.Type, it.Version, it.Digest = v.plugin, typ, v.version, f.digest
	if typ == telemetry.DataInfo {
		it.Config = v.config
	}
	return it
}

// short returns the items as a heartbeat lists them, and their digest.
func (v *inventory) short() ([]telemetry.InventoryItem, telemetry.Digest) {
	var list []telemetry.InventoryItem
	for _, it := range v.items() {
		list = append(list, it.InventoryItem)
	}
	return list, telemetry.InventoryDigest(list)
}

// messages returns the plugin data of the wanted types ("*" or "<plugin>/<type>"), cut to the size of a message.
func (v *inventory) messages(want []string) ([]telemetry.PluginData, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []telemetry.PluginData
	for typ, f := range map[string]*facts{telemetry.DataManifest: v.manifest, telemetry.DataInfo: v.info} {
		if f == nil || !wanted(want, v.plugin+"/"+typ) {
			continue
		}
		v.seq++
		d := telemetry.PluginData{
			Version: telemetry.ProtocolVersion, Host: v.host, Inst: v.inst, Plugin: v.plugin, Type: typ, ProgramVersion: v.version,
			Time: f.at.UnixNano(), DurationUS: f.took.Microseconds(), Seq: v.seq, Data: f.data, Error: f.fault,
		}
		if typ == telemetry.DataInfo {
			d.Config = v.config
		}
		parts, err := d.Split(telemetry.MsgPack)
		if err != nil {
			return nil, err
		}
		all = append(all, parts...)
	}
	return all, nil
}

func wanted(want []string, name string) bool {
	for _, w := range want {
		if w == "*" || w == name {
			return true
		}
	}
	return false
}

// surveyAnew asks the session that keeps facts, if there is one, for a survey and waits for it.
func surveyAnew(ctx context.Context, orders chan refreshOrder) {
	o := refreshOrder{make(chan struct{})}
	select {
	case orders <- o:
	default:
		return // as many as may wait do: the next survey answers them all
	}
	select {
	case <-o.done:
	case <-ctx.Done():
	}
}

// keepsFacts reports whether there is more than the manifest.
func (v *inventory) keepsFacts() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.info != nil
}
