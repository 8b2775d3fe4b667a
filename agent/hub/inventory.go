package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// data is a message of plugin data, as it came.
type data struct {
	telemetry.PluginData
	body []byte
}

func decodeData(body []byte) (data, error) {
	d, _, err := telemetry.DecodePluginData(body)
	return data{d, body}, err
}

// A part is one message of an entry that comes in several.
type part = data

const mostEntries = 4096 // of one host

// compare finds out from a beat whether the inventory that is held is that of the host, and asks for what is missing. The caller
// has the lock.
func (h *Hub) compare(x *host, b telemetry.Heartbeat) {
	if b.Digest == x.sum || b.Digest.IsZero() && len(x.held) == 0 {
		x.patient.well()
		return
	}
	if b.Digest.IsZero() {
		return // it has none yet, after a start: what is held may be true again in a moment
	}
	if b.Inventory == nil {
		h.ask(x, nil)
		return
	}
	now := time.Now()
	if now.Sub(x.listed) < listEvery {
		return // its next beat says the same
	}
	x.listed = now
	h.pace.run(func() { h.compareList(x, b) })
}

// listEvery is how often a host's list is looked at: it takes a while, in which no other beats are to wait.
const listEvery = time.Second

// compareList asks for what a beat lists and is not held.
func (h *Hub) compareList(x *host, b telemetry.Heartbeat) {
	whole := telemetry.InventoryDigest(b.Inventory) == b.Digest
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, known := h.watch.Peer(b.Host); !known || p.Last.Seq != b.Seq || p.Last.Inst != b.Inst {
		return // a newer beat has come, or it was forgotten
	}
	if !whole {
		h.ask(x, nil)
	} else if want := h.missing(x, b.Inventory); len(want) > 0 {
		h.ask(x, want)
	}
}

// missing drops what the host does not list, and returns what it lists and is not held. The caller has the lock.
func (h *Hub) missing(x *host, list []telemetry.InventoryItem) (want []string) {
	listed := make(map[entry]bool, len(list))
	for _, it := range list {
		e := entry{it.Plugin, it.Type}
		listed[e] = true
		if i, held := x.find(e); !held || x.held[i] != it {
			want = append(want, e.String())
		}
	}
	if x.discard(listed) {
		h.save(x)
	}
	return want
}

// learn takes plugin data that an agent sends.
func (h *Hub) learn(_ context.Context, s bus.Subject, d data) ([]byte, error) {
	if reason := claims(s, d.Host, ""); reason != "" {
		h.counts.add("refused_identity", 1)
		return nil, errors.New(reason)
	}
	h.mu.Lock()
	x := h.fleet[d.Host]
	mine := h.voice.mine
	var whole []part
	var err error
	alien := x != nil && h.alien(d)
	if x != nil && mine && !alien {
		before := x.inParts()
		if whole, err = x.assemble(d); err != nil {
			x.lost(entry{d.Plugin, d.Type}, err)
		}
		h.boundParts(x.inParts() - before)
	}
	h.mu.Unlock()
	switch {
	case !mine:
		return nil, nil // its entries come with the record
	case alien:
		h.counts.add("refused_instance", 1) // if it is the one that is true, and came before its beat, the next digest says so
		return nil, nil
	case x == nil:
		h.counts.add("refused_unknown_host", 1) // its beat says what there is
		return nil, nil
	case err != nil:
		h.counts.add("refused_data", 1)
		return nil, err
	case whole != nil && !h.pace.shelves.put(x, parcelOf(whole)):
		h.counts.add("data_dropped", 1)
		h.mu.Lock()
		defer h.mu.Unlock()
		x.lost(entry{d.Plugin, d.Type}, errDropped)
	}
	return nil, nil
}

// alien reports whether data come from another instance than the host's: a clone whose beats are refused must not say what the
// host is. The caller has the lock.
func (h *Hub) alien(d data) bool {
	p, _ := h.watch.Peer(d.Host)
	return d.Inst != "" && p.Last.Inst != "" && d.Inst != p.Last.Inst
}

const (
	mostParts     = 128
	mostPartial   = 8                               // entries of one host that have come in part
	mostInParts   = telemetry.MaxPluginData + 1<<20 // bytes of them
	mostFleetWide = 8 * mostInParts                 // bytes of all hosts
)

// inParts is how many bytes wait for the rest of their entries.
func (x *host) inParts() (n int) {
	for _, parts := range x.parts {
		for _, p := range parts {
			n += len(p.body)
		}
	}
	return n
}

// boundParts counts what waits for the rest of its entries in all. When that is too much all of it goes, because nobody knows
// which of it will never be complete; beats bring the others again. The caller has the lock.
func (h *Hub) boundParts(more int) {
	h.parts += more
	if h.parts <= mostFleetWide {
		return
	}
	h.parts = 0
	h.counts.add("parts_dropped", 1)
	for _, x := range h.fleet {
		for e := range x.parts {
			x.lost(e, errDropped)
		}
		x.parts = nil
	}
}

// assemble returns all parts of an entry when they are there. The caller has the lock.
func (x *host) assemble(d part) ([]part, error) {
	e := entry{d.Plugin, d.Type}
	if _, held := x.find(e); !held && len(x.held) >= mostEntries {
		return nil, fmt.Errorf("inventory of %s has %d entries: no more are taken", x.id, mostEntries)
	}
	if d.Parts <= 1 {
		delete(x.parts, e)
		return []part{d}, nil
	}
	got := x.parts[e]
	if len(got) == 0 || got[0].Digest != d.Digest || got[0].Parts != d.Parts {
		if x.parts == nil || len(x.parts) >= mostPartial {
			x.parts = map[entry][]part{}
		}
		got = make([]part, d.Parts)
	}
	if d.Parts > mostParts || uint64(len(got)) != d.Parts || d.Part == 0 || d.Part > d.Parts {
		return nil, fmt.Errorf("part %d of %d of %s does not belong to the others", d.Part, d.Parts, e)
	}
	got[d.Part-1] = d
	x.parts[e] = got
	if x.inParts() > mostInParts {
		delete(x.parts, e)
		return nil, fmt.Errorf("parts of %s are larger than %d bytes in all", x.id, mostInParts)
	}
	if slices.ContainsFunc(got, func(p part) bool { return p.body == nil }) {
		return nil, nil
	}
	delete(x.parts, e)
	_, err := telemetry.JoinPluginData(plain(got))
	return got, err
}

func plain(parts []part) []telemetry.PluginData {
	list := make([]telemetry.PluginData, len(parts))
	for i, p := range parts {
		list[i] = p.PluginData
	}
	return list
}

// manifestOf reads what an agent is from its entry; nil when d is something else.
func manifestOf(d telemetry.PluginData) *telemetry.Manifest {
	if d.Plugin != bus.Agent || d.Type != telemetry.DataManifest || d.Data == nil {
		return nil
	}
	body, err := d.Data.Encode(telemetry.MsgPack)
	if err != nil {
		return nil
	}
	m, _, err := telemetry.DecodeManifest(body)
	if err != nil {
		return nil
	}
	return &m
}

// partKey is where the i-th message of an entry is kept.
func partKey(host string, e entry, i int) string {
	key := bus.Key(host, e.plugin, e.typ)
	if i > 0 {
		key += "." + strconv.Itoa(i+1)
	}
	return key
}

// clear removes from the bucket what x has no more.
func (h *Hub) clear(ctx context.Context, x *host) error {
	for {
		h.mu.Lock()
		e, more := anyOf(x.gone)
		delete(x.gone, e)
		h.mu.Unlock()
		if !more {
			return nil
		}
		if err := h.remove(ctx, x, e); err != nil {
			h.mu.Lock()
			defer h.mu.Unlock()
			x.sweepAway(e)
			return err
		}
	}
}

// remove removes an entry, unless it has come again.
func (h *Hub) remove(ctx context.Context, x *host, e entry) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	x.shelf.Lock()
	defer x.shelf.Unlock()
	h.mu.Lock()
	_, held := x.find(e)
	h.mu.Unlock()
	if held {
		return nil
	}
	return h.drop(ctx, x.id, e)
}

// drop removes an entry from the bucket, with all its parts.
func (h *Hub) drop(ctx context.Context, id string, e entry) error {
	for i := range mostParts {
		key := partKey(id, e, i)
		if _, err := h.kv.inventory.Load().Get(ctx, key); errors.Is(err, bus.ErrNoKey) {
			return nil
		} else if err != nil {
			return err
		}
		if err := h.kv.inventory.Load().Delete(ctx, key, 0); err != nil {
			return err
		}
	}
	return nil
}

// read returns an entry from the bucket, and the bytes it has there.
func (h *Hub) read(ctx context.Context, id string, e entry) (telemetry.PluginData, int, error) {
	first, size, err := h.readPart(ctx, id, e, 0)
	if err != nil || first.Parts <= 1 {
		return first, size, err
	}
	parts := []telemetry.PluginData{first}
	for i := 1; i < int(min(first.Parts, mostParts)); i++ {
		d, n, err := h.readPart(ctx, id, e, i)
		if err != nil {
			return d, 0, err
		}
		parts, size = append(parts, d), size+n
	}
	whole, err := telemetry.JoinPluginData(parts)
	return whole, size, err
}

func (h *Hub) readPart(ctx context.Context, id string, e entry, i int) (telemetry.PluginData, int, error) {
	v, err := h.kv.inventory.Load().Get(ctx, partKey(id, e, i))
	if errors.Is(err, bus.ErrNoKey) {
		return telemetry.PluginData{}, 0, fmt.Errorf("%w: %s of %s", ErrNoEntry, e, id)
	}
	if err != nil {
		return telemetry.PluginData{}, 0, err
	}
	d, _, err := telemetry.DecodePluginData(v.Value)
	return d, len(v.Value), err
}

// Inventory returns what there is of a host, without the facts. An entry that cannot be read says so. Errors: ErrNoHost.
func (h *Hub) Inventory(ctx context.Context, host string) ([]telemetry.RefreshItem, error) {
	id, err := h.resolve(host)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	x := h.at(id)
	items := slices.Clone(x.held)
	h.mu.Unlock()
	list := make([]telemetry.RefreshItem, len(items))
	for i, it := range items {
		m := h.metaOf(ctx, x, it)
		list[i] = telemetry.RefreshItem{InventoryItem: it, Size: m.size, Error: m.fault}
		if m.time > 0 {
			list[i].AgeMS = max(0, time.Since(time.Unix(0, m.time)).Milliseconds())
		}
	}
	return list, ctx.Err()
}

// metaOf returns what there is to tell of an entry. Whoever asks first has it looked up in the bucket.
func (h *Hub) metaOf(ctx context.Context, x *host, it telemetry.InventoryItem) meta {
	e := entry{it.Plugin, it.Type}
	h.mu.Lock()
	m, known := x.metas[e]
	h.mu.Unlock()
	if known && m.digest == it.Digest {
		return m
	}
	d, size, err := h.read(ctx, x.id, e)
	if err != nil {
		h.notThere(x.id, e, err)
		return meta{fault: &telemetry.Fault{Code: telemetry.FaultInternal, Message: "cannot be read: " + err.Error()}}
	}
	m = meta{it.Digest, int64(size), d.Time, d.Error}
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.metas == nil {
		x.metas = map[entry]meta{}
	}
	x.metas[e] = m
	return m
}

// Facts returns one entry of the inventory. Errors: ErrNoHost, ErrNoEntry.
func (h *Hub) Facts(ctx context.Context, host, plugin, typ string) (telemetry.PluginData, error) {
	id, err := h.resolve(host)
	if err != nil {
		return telemetry.PluginData{}, err
	}
	e := entry{plugin, typ}
	d, _, err := h.read(ctx, id, e)
	h.notThere(id, e, err)
	return d, err
}

// notThere takes an entry for what it is that could not be read because it is not there: not held, so that the next beat's digest
// asks for it.
func (h *Hub) notThere(id string, e entry, err error) {
	if !errors.Is(err, ErrNoEntry) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.fleet[id]
	if x == nil || !h.voice.mine || !x.release(e) {
		return
	}
	h.counts.add("inventory_missing", 1)
	h.save(x)
}

// refill has all inventories come again, after somebody has removed the bucket: no digest is that of what is held any more.
func (h *Hub) refill(ctx context.Context) {
	if err := h.provideAgain(ctx); err != nil {
		h.log.Error("bucket of inventories cannot be made", "error", err)
		return
	}
	h.mu.Lock()
	h.log.Warn("inventories were removed and come again", "hosts", len(h.fleet))
	h.emptyHanded()
	h.mu.Unlock()
	h.mark(ctx)
}

// emptyHanded says that no inventory is held. The caller has the lock.
func (h *Hub) emptyHanded() {
	h.status = nil
	for _, x := range h.fleet {
		x.hold(nil)
		x.patient = patience{}
		h.save(x)
	}
}

// keyMark is in the bucket INVENTORY from the beginning: one without it is not the one that records are about.
const keyMark = "mark"

// marked reports whether the bucket is the one that records are about. It asks until it is told: on a guess, either all hosts would
// be asked for what is held, or none for what is not.
func (h *Hub) marked(ctx context.Context) bool {
	for {
		err := h.askMark(ctx)
		switch {
		case errors.Is(err, bus.ErrNoKey), errors.Is(err, bus.ErrNoStream):
			return false
		case err == nil:
			return true
		}
		h.log.Warn("bucket of inventories does not say whether it is the one of before", "error", err)
		if !away(err) || !sleep(ctx, retryEvery) {
			return true
		}
	}
}

func (h *Hub) askMark(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err := h.kv.inventory.Load().Get(ctx, keyMark)
	return err
}

func (h *Hub) mark(ctx context.Context) {
	if _, err := h.kv.inventory.Load().Put(ctx, keyMark, []byte(h.o.ID)); err != nil {
		h.log.Debug("bucket of inventories is not marked", "error", err)
	}
}
