package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// request is a control request and its encoding.
type request struct {
	telemetry.CtlRequest
	enc telemetry.Encoding
}

func decodeRequest(body []byte) (request, error) {
	r, enc, err := telemetry.DecodeCtlRequest(body)
	return request{r, enc}, err
}

// verbs are what a hub can be asked on the bus.
func (h *Hub) verbs() map[string]func(context.Context, telemetry.CtlRequest) (any, error) {
	return map[string]func(context.Context, telemetry.CtlRequest) (any, error){
		"hosts":     h.listHosts,
		"host":      h.tellHost,
		"plugins":   h.listPlugins,
		"inventory": h.tellInventory,
		"refresh":   h.refreshHosts,
		"job":       func(_ context.Context, r telemetry.CtlRequest) (any, error) { return h.Job(r.Text("id")) },
		"forget":    h.forgetHost,
		"silence":   h.silenceHost,
		"status":    func(context.Context, telemetry.CtlRequest) (any, error) { return h.Status(), nil },
	}
}

func (h *Hub) refreshHosts(_ context.Context, r telemetry.CtlRequest) (any, error) {
	hosts, err := texts(r, "hosts")
	if err != nil {
		return nil, err // a list that cannot be read must not mean all of them
	}
	return h.Refresh(hosts, modeOf(r))
}

func (h *Hub) forgetHost(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	host, err := hostOf(r)
	if err != nil {
		return nil, err
	}
	return telemetry.HostList{Hosts: []telemetry.HostStatus{}}, h.Forget(ctx, host)
}

func (h *Hub) silenceHost(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	host, err := hostOf(r)
	if err != nil {
		return nil, err
	}
	ms, ok := r.Number("ms")
	if !ok || ms < 0 {
		return nil, fmt.Errorf("%w: ms: want a number of milliseconds, 0 to end maintenance", errBad)
	}
	if err := h.Silence(ctx, host, since(ms, time.Now())); err != nil {
		return nil, err
	}
	return h.tellHost(ctx, r)
}

// asked answers a request to the hub. One that does not speak leaves it to the one that does.
func (h *Hub) asked(ctx context.Context, s bus.Subject, r request) ([]byte, error) {
	if !h.Speaks() {
		return nil, nil
	}
	do := h.verbs()[s.Verb]
	if do == nil {
		return h.answer(r, nil, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: fmt.Sprintf("the hub has no verb %.80q", s.Verb)})
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	payload, err := do(ctx, r.CtlRequest)
	if err != nil {
		return h.answer(r, nil, faultOf(err))
	}
	return h.answer(r, payload, nil)
}

func (h *Hub) answer(r request, payload any, fault *telemetry.Fault) ([]byte, error) {
	reply := telemetry.CtlReply{ID: r.ID, OK: fault == nil, Error: fault}
	if fault == nil {
		body, err := telemetry.EncodeControl(payload, telemetry.MsgPack)
		if err != nil {
			return h.answer(r, nil, faultOf(err))
		}
		reply.Payload = body
	}
	return telemetry.EncodeControl(reply, r.enc)
}

// faultOf returns err as it travels.
func faultOf(err error) *telemetry.Fault {
	f := &telemetry.Fault{Code: telemetry.FaultInternal, Message: err.Error()}
	switch {
	case errors.Is(err, ErrNoHost), errors.Is(err, ErrNoEntry), errors.Is(err, ErrNoJob):
		f.Code = telemetry.FaultNotFound
	case errors.Is(err, errBad):
		f.Code = telemetry.FaultInvalid
	case errors.Is(err, bus.ErrTimeout):
		f.Code = telemetry.FaultTimeout
	case errors.Is(err, ErrNotConnected), errors.Is(err, ErrNotSpeaker), errors.Is(err, ErrBusy), errors.Is(err, bus.ErrDisconnected):
		f.Code = telemetry.FaultDependency
	}
	return f
}

// errBad marks requests that cannot be understood.
var errBad = errors.New("bad request")

// hostOf returns the argument host, which has to be there.
func hostOf(r telemetry.CtlRequest) (string, error) {
	host := r.Text("host")
	if host == "" {
		return "", fmt.Errorf("%w: host: want the id or name of one", errBad)
	}
	return host, nil
}

// texts returns an argument that is a list of texts, or is not there.
func texts(r telemetry.CtlRequest, key string) ([]string, error) {
	all, ok := r.Args[key].([]any)
	if !ok && r.Args[key] != nil {
		return nil, fmt.Errorf("%w: %s: want a list of texts", errBad, key)
	}
	var list []string
	for _, v := range all {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%w: %s: want a list of texts, and it has %.80v", errBad, key, v)
		}
		list = append(list, s)
	}
	return list, nil
}

func modeOf(r telemetry.CtlRequest) string {
	if r.Mode == "" {
		return telemetry.ModeCached
	}
	return r.Mode
}

// filterOf reads the arguments of a list; label is "key=value".
func filterOf(r telemetry.CtlRequest) (Filter, error) {
	f := Filter{Host: r.Text("host"), State: r.Text("state"), Owner: r.Text("owner"), Site: r.Text("site")}
	labels := []string{r.Text("label")}
	if labels[0] == "" {
		var err error
		if labels, err = texts(r, "label"); err != nil {
			return f, err
		}
	}
	for _, l := range labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok {
			return f, fmt.Errorf("%w: label %.80q: want key=value", errBad, l)
		}
		if f.Label == nil {
			f.Label = map[string]string{}
		}
		f.Label[key] = value
	}
	return f, nil
}

// checkState refuses what no host is.
func checkState(state string) error {
	switch state {
	case "", telemetry.HostUnknown, telemetry.HostUp, telemetry.HostOverdue, telemetry.HostDown, telemetry.HostLeft:
		return nil
	}
	return fmt.Errorf("%w: state %.80q: want UNKNOWN, UP, OVERDUE, DOWN or LEFT", errBad, state)
}

const (
	pageRoom = 36 << 10 // bytes of a list in a reply
	mostPage = 100      // elements of one
)

// fitting returns as many of the first elements as there is room for, and whether there are more.
func fitting[T any](list []T, more bool) ([]T, bool) {
	if list == nil {
		list = []T{} // none is a list too
	}
	room := pageRoom
	for i, v := range list {
		if room -= sizeOf(v); room < 0 && i > 0 {
			return list[:i], true
		}
	}
	return list, more
}

// sizeOf returns about the bytes that v has on the wire, and at least a share of the values that fit.
func sizeOf(v any) int {
	text, err := json.Marshal(v)
	if err != nil {
		return pageRoom
	}
	return max(len(text), pageRoom/100)
}

func (h *Hub) listHosts(_ context.Context, r telemetry.CtlRequest) (any, error) {
	f, err := filterOf(r)
	if err == nil {
		err = checkState(f.State)
	}
	if err != nil {
		return nil, err
	}
	some, more := fitting(h.Hosts(f, pageOf(r)))
	return telemetry.HostList{Hosts: some, More: more}, nil
}

func (h *Hub) tellHost(_ context.Context, r telemetry.CtlRequest) (any, error) {
	host, err := hostOf(r)
	if err != nil {
		return nil, err
	}
	s, err := h.Host(host)
	return telemetry.HostList{Hosts: []telemetry.HostStatus{s}}, err
}

func (h *Hub) listPlugins(_ context.Context, r telemetry.CtlRequest) (any, error) {
	f, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	some, more := fitting(h.Plugins(f, pageOf(r)))
	return telemetry.PluginList{Plugins: some, More: more}, nil
}

// pageOf returns the page that is asked for: no more than fits into a reply.
func pageOf(r telemetry.CtlRequest) Page { return Page{After: r.Text("after"), Most: mostPage} }

// chunkSize is how much of an entry one reply has.
const chunkSize = 24 << 10

func (h *Hub) tellInventory(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	host, err := hostOf(r)
	if err != nil {
		return nil, err
	}
	name := r.Text("entry")
	if name == "" {
		items, err := h.Inventory(ctx, host)
		last := entryOf(r.Text("after"))
		items = slices.DeleteFunc(items, func(it telemetry.RefreshItem) bool { return !last.before(it.InventoryItem) })
		some, more := fitting(items, false)
		return telemetry.InventoryPage{Items: some, More: more}, err
	}
	e := entryOf(name)
	d, err := h.Facts(ctx, host, e.plugin, e.typ)
	if err != nil {
		return nil, err
	}
	all, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	offset, _ := r.Number("offset")
	from := max(0, min(offset, int64(len(all))))
	return telemetry.InventoryPage{Size: int64(len(all)), Text: chunk(all[from:])}, nil
}

// chunk returns the beginning of a text, as much as one reply has, in whole characters.
func chunk(text []byte) string {
	n := min(chunkSize, len(text))
	for n > 0 && n < len(text) && !utf8.RuneStart(text[n]) {
		n--
	}
	return string(text[:n])
}
