package uplink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/cluster"
	"github.com/pacewire/pacewire/telemetry"
)

// webRig is a rig whose way to the bus of the fleet is a WebSocket, with TLS and the rights of an edge.
func webRig(t *testing.T, compress bool) *rig {
	t.Helper()
	cert, key := bustest.Certificate(t)
	rights := bus.SpoolRights(host)
	var users bytes.Buffer
	text := json.NewEncoder(&users)
	text.SetEscapeHTML(false) // configs of servers know no \u003e
	err := text.Encode([]any{
		map[string]any{"user": "operator", "password": "of the operator"},
		map[string]any{"user": bus.User(host, bus.Agent), "password": "of the edge", "permissions": map[string]any{
			"publish": rights.Publish, "subscribe": rights.Subscribe, "allow_responses": map[string]any{"max": rights.Responses, "expires": rights.ResponseTime.String()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	fleet := bustest.NewCluster(t, cluster.Options{Servers: 1, More: fmt.Sprintf("authorization { users: %s }", &users),
		WebSocket: fmt.Sprintf("compression: true, tls { cert_file: %q, key_file: %q }", cert, key)})
	secret := func(user, password string) string {
		file := filepath.Join(t.TempDir(), "creds.json")
		text, err := json.Marshal(map[string]string{"user": user, "password": password})
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	r := newRig(t)
	r.sees = fleet.Dial(t, bus.Options{User: "operator", CredsFile: secret("operator", "of the operator")})
	if err := r.sees.EnsureStreams(t.Context(), bus.DefaultStreams()); err != nil {
		t.Fatal(err)
	}
	r.link = bustest.NewLink(t, "nats://"+fleet.Nodes[0].WebSocket())
	r.o.Central = bus.Options{URL: strings.Replace(r.link.URL, "nats://", "wss://", 1), TLS: bus.TLS{CAFile: cert}, Compress: compress,
		CredsFile: secret(bus.User(host, bus.Agent), "of the edge")}
	return r
}

// What goes over a WebSocket arrives as over any other link, through an outage too, and takes fewer bytes where that is wished for.
func TestCompress(t *testing.T) {
	const size = 20 << 10
	f := func(compress bool) (sent int) {
		r := webRig(t, compress)
		r.run()
		r.make(20, size)
		r.await(20)
		r.link.Cut()
		r.away()
		r.make(100, size)
		r.link.Heal()
		r.inOrder()
		sent = int(r.link.Sent())
		largest := bus.Message{Subject: bus.MetricsSubject(host, "cpu"), ContentType: "text/plain", Body: slices.Repeat([]byte("0123456789"), 100_000)}
		if err := r.source.Publish(t.Context(), largest); err != nil {
			t.Fatal(err)
		}
		r.await(r.next + 1)
		if s := r.up.Status(); s.State != telemetry.UplinkOK || s.Lost+s.SetAside > 0 || r.up.central.Denied() > 0 {
			t.Errorf("%+v, %d denied", s, r.up.central.Denied())
		}
		r.end()
		return sent
	}
	if plain, all := f(false), 120*size; plain < all {
		t.Errorf("INVALID: %d bytes of messages were %d on the link", all, plain)
	}
	if deflated := f(true); deflated > 120*size/10 { // each body is one character, all through
		t.Errorf("%d bytes on the link", deflated)
	}
}
