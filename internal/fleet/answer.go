package fleet

import (
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// serve answers a request of a hub. The caller has the lock.
func (l *line) serve(h *host, verb, reply string, body []byte) {
	r, enc, err := telemetry.DecodeCtlRequest(body)
	if err != nil || reply == "" {
		l.stats.Bad++
		return
	}
	if inst, named := r.Args["inst"].(string); named && inst != h.inst {
		return
	}
	answer := telemetry.CtlReply{ID: r.ID, OK: true}
	switch verb {
	case "ping":
		l.stats.Pings++
	case "beat": // at once, and all that a hello says
		l.stats.Asked++
		h.greeted, h.hellos = false, 0
		l.hasten(h)
	case "refresh":
		l.stats.Refreshes++
		answer.Payload = encode(telemetry.RefreshManifest{Items: l.kind.list(h)})
	default:
		answer.OK, answer.Error = false, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: "a simulated host knows ping, beat and refresh only"}
	}
	text, err := telemetry.EncodeControl(answer, enc)
	if err != nil {
		panic("fleet: answer to " + verb + ": " + err.Error()) // its parts are our own, and the id was taken in this form
	}
	if l.tell(reply, text) && verb == "refresh" {
		l.deliver(h, r.Want)
	}
}

// list is what there is of a host, as the answer to a refresh.
func (k *kind) list(h *host) []telemetry.RefreshItem {
	list := make([]telemetry.RefreshItem, len(h.items))
	for n, it := range h.items {
		list[n] = telemetry.RefreshItem{InventoryItem: it, Size: int64(k.entries[n].size()), AgeMS: time.Since(h.begun).Milliseconds()}
	}
	return list
}

// deliver publishes the entries that are wanted: "*", or plugin/type each.
func (l *line) deliver(h *host, want []string) {
	all := slices.Contains(want, "*")
	for n := range l.kind.entries {
		if e := &l.kind.entries[n]; all || slices.Contains(want, e.plugin+"/"+e.typ) {
			l.publish(h, n)
		}
	}
}

// publish sends the n-th entry of a host.
func (l *line) publish(h *host, n int) {
	l.buf = l.kind.entries[n].fill(l.buf[:0], h, n, h.begun)
	if l.tell(h.data, l.buf) {
		l.stats.Entries++
	}
}

func (l *line) tell(subject string, body []byte) bool {
	if err := l.crowd.Tell(subject, "", body); err != nil {
		l.stats.Unsent++
		return false
	}
	l.stats.BytesOut += uint64(len(body))
	return true
}
