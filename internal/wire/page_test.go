package wire

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func page(t testing.TB) string { return string(read(t, "../../docs/protocol.md")) }

// The example of digests is what the program computes.
func TestPageDigests(t *testing.T) {
	var said []string // the values of the example, in order
	_, example, _ := strings.Cut(page(t), "```\ninfo ")
	example, _, _ = strings.Cut(example, "```")
	for line := range strings.Lines("info " + example) {
		if line[0] == ' ' { // goes on
			said[len(said)-1] += strings.TrimSpace(line)
			continue
		}
		_, value, _ := strings.Cut(line, "  ")
		said = append(said, strings.TrimSpace(value))
	}
	if len(said) != 7 {
		t.Fatalf("the page has an example of %d values: %q", len(said), said)
	}
	info, infoDigest, manifest, manifestDigest, list, bytes, inv := said[0], said[1], said[2], said[3], said[4], said[5], said[6]
	same := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: the page says %s, it is %s", what, want, got)
		}
	}
	same("digest of info", telemetry.DigestOf([]byte(info)).String(), infoDigest)
	same("digest of manifest", telemetry.DigestOf([]byte(manifest)).String(), manifestDigest)

	beat := `{"v":1,"host":"h","plugin":"agent","inst":"i","seq":1,"int_ms":10000,"inv_list":` + list + `,"manifest":` + manifest + `}`
	h, _, err := telemetry.DecodeHeartbeat([]byte(beat))
	if err != nil || len(h.Inventory) != 2 {
		t.Fatalf("%v, %v", h.Inventory, err)
	}
	same("digest in the list", h.Inventory[0].Digest.String(), manifestDigest)
	same("digest in the list", h.Inventory[1].Digest.String(), infoDigest)
	same("inv", telemetry.InventoryDigest(h.Inventory).String(), inv)
	raw, err := hex.DecodeString(strings.ReplaceAll(bytes, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	same("digest of the bytes of inv", telemetry.DigestOf(raw).String(), inv)
}

// The tokens and users of the page are those of package bus.
func TestPageTokens(t *testing.T) {
	_, table, _ := strings.Cut(page(t), "| host | token | user of its agent |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) < 5 {
		t.Fatalf("the page has %d examples of tokens", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.ReplaceAll(row, "`", ""), " | ")
		host, token, user := strings.TrimPrefix(cells[0], "| "), cells[1], strings.TrimSuffix(cells[2], " |")
		if bus.Token(host) != token || bus.User(host, bus.Agent) != user {
			t.Errorf("%s has token %s and user %s, the page says %s and %s", host, bus.Token(host), bus.User(host, bus.Agent), token, user)
		}
	}
}

// The codes of refusals on the page are all that there are.
func TestPageCodes(t *testing.T) {
	codes := []telemetry.ControlCode{
		telemetry.ControlEmpty, telemetry.ControlTruncated, telemetry.ControlTrailing, telemetry.ControlDepth, telemetry.ControlLimit, telemetry.ControlSyntax,
		telemetry.ControlExt, telemetry.ControlKey, telemetry.ControlUTF8, telemetry.ControlNaN, telemetry.ControlRequired, telemetry.ControlType, telemetry.ControlRange,
	}
	var line []string
	for _, c := range codes {
		line = append(line, string(c))
	}
	if want := "`" + strings.Join(line, " ") + "`"; !strings.Contains(page(t), want) {
		t.Errorf("the page does not list the codes %s", want)
	}
}

// The limits of the page are those of the readers: of each kind one message at the limit is taken, and one above it refused.
func TestPageLimits(t *testing.T) {
	f := func(kindName, name string, limit int) {
		t.Helper()
		var m map[string]any
		if err := json.Unmarshal(read(t, golden+"valid/"+name+".json"), &m); err != nil {
			t.Fatal(err)
		}
		m["later"] = ""
		m["later"] = strings.Repeat("x", limit-len(show(m)))
		if err := kinds[kindName].decode([]byte(show(m))); err != nil {
			t.Errorf("%s of %d bytes: %v", kindName, limit, err)
		}
		m["later"] = m["later"].(string) + "x"
		if err := kinds[kindName].decode([]byte(show(m))); err == nil || !strings.Contains(err.Error(), "limit") {
			t.Errorf("%s of %d bytes: %v", kindName, limit+1, err)
		}
	}
	f("heartbeat", "heartbeat-minimal", 256<<10)
	f("ack", "ack-hub", 256<<10)
	f("plugindata", "plugindata-error", 256<<10)
	f("request", "request-ping", 64<<10)
	f("reply", "reply-error", 64<<10)
}
