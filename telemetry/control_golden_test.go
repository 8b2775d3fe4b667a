package telemetry

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

var updateControl = flag.Bool("update-control", false, "rewrite schemas/testdata/control")

const goldenDir = "../schemas/testdata/control"

// goldenMessage is a message that every language must read, and write so that we can read it.
type goldenMessage struct {
	name, kind string
	value      any
}

func goldenMessages() []goldenMessage {
	beat := Heartbeat{Version: 1, Host: "web-1", Plugin: "cpu", Inst: "9f3c1a7e5b2d4c60", Seq: 1, IntervalMS: 10000}
	bye := beat
	bye.Seq, bye.Bye, bye.State = 4711, "shutdown", "draining"
	ack := Ack{Version: 1, Server: "hub-1", Term: 7, Seq: 1, T1: 1763559525997744692, T2: 1763559525997844692, T3: 1763559525997854692,
		State: Accepted, Received: 1, ConfigRev: 12}
	work := ack
	work.Work = &Work{
		Config: json.RawMessage(`{"proc":"/proc","top":3,"share":0.25,"only":["cpu0"],"deep":{"on":true,"none":null}}`),
		Inputs: []Input{{Stream: "METRICS", Durable: "hot", Filters: []string{"pw.metrics.*.cpu", "pw.metrics.*.disk"}}},
		Tags:   map[string]string{"dc": "eu", "rack": "r7"}, EveryMS: 10000, TimeoutMS: 5000, MaxAckPending: 256, Parallel: 2,
	}
	refused := Ack{Version: 1, Server: "agent-web-1", Seq: 1, State: Refused, Reason: "name_taken", Flags: []string{"conflict"}}
	info := PluginData{Version: 1, Host: "web-1", Inst: "9f3c1a7e5b2d4c60", Plugin: "os", Type: DataInfo, ProgramVersion: "1.4.0", Config: Digest{15: 1},
		Time: 1763559525997744692, DurationUS: 1200, Seq: 3, Data: Facts{"id": "debian", "cores": int64(8), "load": 0.5, "virtual": false, "disks": []any{"sda", "sdb"},
			"memory": map[string]any{"bytes": uint64(18446744073709551615), "swap": nil}}}
	failed := PluginData{Version: 1, Host: "web-1", Plugin: "docker", Type: DataInfo, Time: 1763559525997744692,
		Error: &Fault{Code: FaultDependency, Message: `exec: "docker": executable file not found in $PATH`}}
	declined := beat
	declined.Seq, declined.State, declined.ConfigRev, declined.Flags = 9, "running", 12, []string{"failing", "storage_full"}
	declined.Error = &Fault{Code: "config_invalid", Message: "url: no host in it", AgeMS: 40}
	manifest, _ := EncodeControl(RefreshManifest{Items: fullRefresh()}, MsgPack)
	stats, _ := EncodeControl(fullStats(), MsgPack)
	return []goldenMessage{
		{"heartbeat-minimal", "heartbeat", beat},
		{"heartbeat-agent", "heartbeat", fullBeat()},
		{"heartbeat-hello", "heartbeat", fullHello()},
		{"heartbeat-bye", "heartbeat", bye},
		{"heartbeat-steady", "heartbeat", steadyBeat()},
		{"heartbeat-agent-hello", "heartbeat", agentHello()},
		{"heartbeat-declined", "heartbeat", declined},
		{"ack-accepted", "ack", ack},
		{"ack-work", "ack", work},
		{"ack-hold", "ack", heldAck()},
		{"ack-refused", "ack", refused},
		{"ack-hub", "ack", hubAck()},
		{"plugindata-info", "plugindata", info},
		{"plugindata-error", "plugindata", failed},
		{"plugindata-status", "plugindata", statusData()},
		{"plugindata-part-1", "plugindata", partedData()[0]},
		{"plugindata-part-2", "plugindata", partedData()[1]},
		{"request-ping", "request", CtlRequest{ID: "5f21"}},
		{"request-refresh", "request", CtlRequest{ID: "5f1e", Want: []string{"os/info", "docker/info"}, Mode: ModeCollect, MaxAgeMS: 60000}},
		{"request-list", "request", CtlRequest{ID: "5f1f", Want: []string{}, Mode: ModeCached}},
		{"request-drain", "request", CtlRequest{ID: "5f20", Args: map[string]any{"reason": "upgrade", "within_ms": int64(10000)}}},
		{"request-beat", "request", CtlRequest{ID: "5f23", Args: map[string]any{"inst": "9f3c1a7e5b2d4c60"}}},
		{"reply-refresh", "reply", CtlReply{ID: "5f1e", OK: true, Payload: manifest}},
		{"reply-ping", "reply", CtlReply{ID: "5f21", OK: true, Payload: stats}},
		{"reply-error", "reply", CtlReply{ID: "5f22", Error: &Fault{Code: "busy", Message: "a refresh is under way"}}},
		{"reply-done", "reply", CtlReply{ID: "5f20", OK: true}},
		{"manifest-full", "manifest", *fullHello().Manifest},
		{"manifest-minimal", "manifest", Manifest{Kind: "collector", Program: "fan.py", API: 1}},
		{"refresh-list", "refresh", RefreshManifest{Items: fullRefresh(), More: true}},
		{"stats-full", "stats", fullStats()},
		{"log-minimal", "log", LogRecord{Level: "info", Time: 1763559525997744692}},
		{"log-record", "log", LogRecord{Level: "warn", Message: "queue full", Time: 1763559525997744692, Attrs: map[string]any{"bytes": int64(16777216), "policy": "block", "err": "no responders"}}},
	}
}

// goldenRefusal is a message that every reader must refuse. A hex body is msgpack, else it is JSON.
type goldenRefusal struct {
	Name string      `json:"name"`
	Kind string      `json:"kind"`
	Code ControlCode `json:"code"`
	Path string      `json:"path,omitempty"`
	hex  string
	json string
}

// packedBeat is heartbeat-minimal without seq and its end: 85, then v, host, plugin, inst, int_ms.
const packedBeat = "a176 01 a4686f7374 a57765622d31 a6706c7567696e a3637075 a4696e7374 a139 a6696e745f6d73 cd2710"

func goldenRefusals() []goldenRefusal {
	const beat = `"v":1,"host":"web-1","plugin":"cpu","inst":"9","int_ms":10000`
	const ack = `"v":1,"srv":"a","seq":1`
	return []goldenRefusal{
		{Name: "empty", Kind: "heartbeat", Code: ControlEmpty},
		{Name: "array32-bomb", Kind: "heartbeat", Code: ControlTruncated, hex: "ddffffffff"},
		{Name: "map32-bomb", Kind: "heartbeat", Code: ControlTruncated, hex: "dfffffffff"},
		{Name: "str32-bomb", Kind: "request", Code: ControlTruncated, hex: "81 a26964 dbffffffff"},
		{Name: "bin32-bomb", Kind: "plugindata", Code: ControlTruncated, hex: "81 a26964 c6ffffffff"},
		{Name: "nested-arrays", Kind: "plugindata", Code: ControlDepth, hex: "91*1000"},
		{Name: "nested-claims", Kind: "plugindata", Code: ControlTruncated, hex: "dc0004 dc0003 dc0002 dc0001"},
		{Name: "log-depth", Kind: "log", Code: ControlDepth, hex: "81 a56174747273 81 a161 91 91 91 00"},
		{Name: "log-values", Kind: "log", Code: ControlLimit, hex: "81 a56174747273 dc0100 00*256"},
		{Name: "request-bytes", Kind: "request", Code: ControlLimit, hex: "81 a26964 c600010000 00*65536"},
		{Name: "array-key", Kind: "heartbeat", Code: ControlKey, hex: "81 90 c0"},
		{Name: "integer-key", Kind: "heartbeat", Code: ControlKey, hex: "81 01 c0"},
		{Name: "bin-key", Kind: "heartbeat", Code: ControlKey, hex: "81 c40176 01"},
		{Name: "byte-c1", Kind: "heartbeat", Code: ControlSyntax, hex: "81 a176 c1"},
		{Name: "trailing", Kind: "request", Code: ControlTrailing, hex: "81 a26964 a131 c0"},
		{Name: "utf8", Kind: "request", Code: ControlUTF8, hex: "81 a26964 a1ff"},
		{Name: "ext", Kind: "request", Code: ControlExt, hex: "81 a26964 d48001"},
		{Name: "nan", Kind: "heartbeat", Code: ControlNaN, hex: "81 a46c6f6164 81 a16c cb7ff8000000000001"},
		{Name: "infinity", Kind: "plugindata", Code: ControlNaN, hex: "81 a464617461 81 a16c cbfff0000000000000"},
		{Name: "no-map", Kind: "heartbeat", Code: ControlType, hex: "93 01 02 03"},
		{Name: "seq-missing", Kind: "heartbeat", Code: ControlRequired, Path: "seq", hex: "85" + packedBeat},
		{Name: "seq-nil", Kind: "heartbeat", Code: ControlRequired, Path: "seq", hex: "86" + packedBeat + "a3736571 c0"},
		{Name: "seq-zero", Kind: "heartbeat", Code: ControlRange, Path: "seq", hex: "86" + packedBeat + "a3736571 00"},
		{Name: "seq-negative", Kind: "heartbeat", Code: ControlRange, Path: "seq", hex: "86" + packedBeat + "a3736571 ff"},
		{Name: "seq-fraction", Kind: "heartbeat", Code: ControlRange, Path: "seq", hex: "86" + packedBeat + "a3736571 cb3ff8000000000000"},
		{Name: "time-uint64-max", Kind: "heartbeat", Code: ControlRange, Path: "t1", hex: "87" + packedBeat + "a3736571 01 a27431 cfffffffffffffffff"},
		{Name: "counter-negative", Kind: "heartbeat", Code: ControlRange, Path: "stats.points_in", hex: "87" + packedBeat + "a3736571 01 a57374617473 81 a9706f696e74735f696e d0ff"},
		{Name: "host-integer", Kind: "heartbeat", Code: ControlType, Path: "host", hex: "82 a176 01 a4686f7374 07"},
		{Name: "host-bin", Kind: "heartbeat", Code: ControlType, Path: "host", hex: "82 a176 01 a4686f7374 c40161"},
		{Name: "digest-short", Kind: "heartbeat", Code: ControlType, Path: "inv", hex: "81 a3696e76 c403010203"},
		{Name: "catalog-series", Kind: "heartbeat", Code: ControlRequired, Path: "manifest.catalog[1].series", hex: "81 a86d616e6966657374 81 a7636174616c6f67 92 81 a6736572696573 a161 80"},
		{Name: "item-short", Kind: "heartbeat", Code: ControlRequired, Path: "inv_list[0]", hex: "81 a8696e765f6c697374 91 92 a161 a162"},
		{Name: "version-2", Kind: "heartbeat", Code: ControlRange, Path: "v", json: `{` + `"v":2,"host":"web-1","plugin":"cpu","inst":"9","int_ms":10000,"seq":1}`},
		{Name: "config-text", Kind: "ack", Code: ControlSyntax, Path: "config", hex: "81 a6636f6e666967 a37b617d"},
		{Name: "config-list", Kind: "ack", Code: ControlType, Path: "config", hex: "81 a6636f6e666967 a25b5d"},
		{Name: "config-integer", Kind: "ack", Code: ControlType, Path: "config", hex: "81 a6636f6e666967 07"},
		{Name: "ack-state", Kind: "ack", Code: ControlRange, Path: "state", json: `{` + ack + `,"state":"perhaps"}`},
		{Name: "ack-no-server", Kind: "ack", Code: ControlRequired, Path: "srv", json: `{"v":1,"seq":1,"state":"accepted"}`},
		{Name: "ack-version-2", Kind: "ack", Code: ControlRange, Path: "v", json: `{"v":2,"srv":"a","seq":1,"state":"accepted"}`},
		{Name: "ack-order", Kind: "ack", Code: ControlRange, Path: "order", json: `{` + ack + `,"state":"accepted","config":{},"order":"time"}`},
		{Name: "ack-overflow", Kind: "ack", Code: ControlRange, Path: "overflow", json: `{` + ack + `,"state":"accepted","config":{},"overflow":"spill"}`},
		{Name: "ack-parallel", Kind: "ack", Code: ControlRange, Path: "parallel", json: `{` + ack + `,"state":"accepted","config":{},"parallel":1025}`},
		{Name: "ack-input", Kind: "ack", Code: ControlRequired, Path: "inputs[0].durable", json: `{` + ack + `,"state":"accepted","config":{},"inputs":[{"stream":"METRICS"}]}`},
		{Name: "ack-interval", Kind: "ack", Code: ControlRange, Path: "next_ms", json: `{` + ack + `,"state":"accepted","next_ms":3600001}`},
		{Name: "reply-no-ok", Kind: "reply", Code: ControlRequired, Path: "ok", json: `{"id":"1"}`},
		{Name: "reply-fault", Kind: "reply", Code: ControlRequired, Path: "error.code", json: `{"id":"1","ok":false,"error":{"message":"no"}}`},
		{Name: "manifest-no-kind", Kind: "manifest", Code: ControlRequired, Path: "kind", json: `{"program":"fan.py","api":1}`},
		{Name: "manifest-schema", Kind: "manifest", Code: ControlType, Path: "schema", json: `{"kind":"collector","program":"fan.py","api":1,"schema":7}`},
		{Name: "manifest-route", Kind: "manifest", Code: ControlRequired, Path: "routes[0].path", json: `{"kind":"collector","program":"fan.py","api":1,"routes":[{}]}`},
		{Name: "refresh-item", Kind: "refresh", Code: ControlRequired, Path: "inv_list[0]", json: `{"inv_list":[["os","info","","",""]]}`},
		{Name: "stats-negative", Kind: "stats", Code: ControlRange, Path: "ticks", json: `{"ticks":-1}`},
		{Name: "log-no-level", Kind: "log", Code: ControlRequired, Path: "level", json: `{"msg":"queue full","t":1}`},
		{Name: "log-time", Kind: "log", Code: ControlType, Path: "t", json: `{"level":"warn","t":"2025-11-19T13:38:45Z"}`},
		{Name: "plugindata-nothing", Kind: "plugindata", Code: ControlRequired, Path: "data", json: `{"v":1,"host":"web-1","plugin":"os","type":"info","t":1}`},
		{Name: "plugindata-part", Kind: "plugindata", Code: ControlRange, Path: "part", json: `{"v":1,"host":"web-1","plugin":"os","type":"info","t":1,"part":3,"parts":2,"chunk":"{"}`},
		{Name: "request-no-id", Kind: "request", Code: ControlRequired, Path: "id", json: `{"stream":"METRICS","seq":1}`},
		{Name: "request-empty-id", Kind: "request", Code: ControlRequired, Path: "id", json: `{"id":""}`},
		{Name: "request-mode", Kind: "request", Code: ControlRange, Path: "mode", json: `{"id":"1","mode":"all"}`},
		{Name: "json-key-case", Kind: "request", Code: ControlRequired, Path: "id", json: `{"ID":"1","Id":"1"}`},
		{Name: "json-truncated", Kind: "heartbeat", Code: ControlTruncated, json: `{` + beat + `,"seq":1`},
		{Name: "json-syntax", Kind: "heartbeat", Code: ControlSyntax, json: `{` + beat + `,}`},
		{Name: "json-nan", Kind: "heartbeat", Code: ControlSyntax, json: `{` + beat + `,"seq":1,"load":{"load1":NaN}}`},
		{Name: "json-huge", Kind: "heartbeat", Code: ControlRange, json: `{` + beat + `,"seq":1,"load":{"load1":1e999}}`},
		{Name: "json-trailing", Kind: "heartbeat", Code: ControlTrailing, json: `{` + beat + `,"seq":1}{}`},
		{Name: "json-utf8", Kind: "request", Code: ControlUTF8, json: "{\"id\":\"\xff\"}"},
		{Name: "json-depth", Kind: "plugindata", Code: ControlDepth, json: `{"data":` + string(bytes.Repeat([]byte("["), 1000))},
		{Name: "json-uint64-max", Kind: "heartbeat", Code: ControlRange, Path: "t1", json: `{` + beat + `,"seq":1,"t1":18446744073709551615}`},
		{Name: "json-text-number", Kind: "heartbeat", Code: ControlType, Path: "seq", json: `{` + beat + `,"seq":"one"}`},
		{Name: "json-digest", Kind: "heartbeat", Code: ControlRange, Path: "inv", json: `{` + beat + `,"seq":1,"inv":"0g"}`},
		{Name: "json-bool", Kind: "heartbeat", Code: ControlType, Path: "hello", json: `{` + beat + `,"seq":1,"hello":1}`},
	}
}

func (g goldenRefusal) body(t testing.TB) []byte {
	if g.json != "" {
		return []byte(g.json)
	}
	return unhexed(t, g.hex)
}

func (g goldenRefusal) file() string {
	if g.json != "" {
		return g.Name + ".json"
	}
	return g.Name + ".msgpack"
}

// decodeKind decodes what the golden files call kind.
func decodeKind(kind string, b []byte) (v any, enc Encoding, err error) {
	switch kind {
	case "heartbeat":
		return erase(DecodeHeartbeat(b))
	case "ack":
		return erase(DecodeAck(b))
	case "plugindata":
		return erase(DecodePluginData(b))
	case "request":
		return erase(DecodeCtlRequest(b))
	case "reply":
		return erase(DecodeCtlReply(b))
	case "log":
		return erase(DecodeLogRecord(b))
	case "manifest":
		return erase(DecodeManifest(b))
	case "refresh":
		return erase(DecodeRefreshManifest(b))
	case "stats":
		return erase(DecodeStats(b))
	}
	panic(kind)
}

func erase[T any](v T, enc Encoding, err error) (any, Encoding, error) { return v, enc, err }

func TestGoldenMessages(t *testing.T) {
	for _, m := range goldenMessages() {
		for enc, ext := range map[Encoding]string{MsgPack: ".msgpack", JSON: ".json"} {
			b, err := EncodeControl(m.value, enc)
			if err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			want := goldenFile(t, "valid/"+m.name+ext, b)
			if !bytes.Equal(b, want) {
				t.Errorf("%s%s is encoded otherwise now:\n%q\n%q", m.name, ext, b, want)
			}
			got, as, err := decodeKind(m.kind, want)
			if err != nil || as != enc {
				t.Errorf("%s%s: %v, %v", m.name, ext, as, err)
				continue
			}
			if again, err := EncodeControl(got, enc); err != nil || !bytes.Equal(again, want) && m.kind != "reply" {
				t.Errorf("%s%s comes back as\n%q, %v; want\n%q", m.name, ext, again, err, want)
			}
			if !reflect.DeepEqual(got, m.value) && m.kind != "reply" {
				t.Errorf("%s%s:\n got %+v\nwant %+v", m.name, ext, got, m.value)
			}
		}
	}
}

func TestGoldenRefusals(t *testing.T) {
	for _, g := range goldenRefusals() {
		want := goldenFile(t, "invalid/"+g.file(), g.body(t))
		if !bytes.Equal(want, g.body(t)) {
			t.Errorf("%s differs from its file", g.Name)
		}
		_, _, err := decodeKind(g.Kind, want)
		refused, ok := errors.AsType[*ControlError](err)
		if !ok || refused.Code != g.Code || refused.Path != g.Path {
			t.Errorf("%s: %v; want %s at %q", g.Name, err, g.Code, g.Path)
		}
	}
}

// The list is what other languages read the files by.
func TestGoldenList(t *testing.T) {
	type valid struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	}
	type invalid struct {
		File string `json:"file"`
		goldenRefusal
	}
	var list struct {
		Valid   []valid   `json:"valid"`
		Invalid []invalid `json:"invalid"`
	}
	for _, m := range goldenMessages() {
		list.Valid = append(list.Valid, valid{m.name, m.kind})
	}
	for _, g := range goldenRefusals() {
		list.Invalid = append(list.Invalid, invalid{g.file(), g})
	}
	checkGoldenJSON(t, "cases.json", list)
}

func checkGoldenJSON(t *testing.T, name string, v any) {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if b = append(b, '\n'); !bytes.Equal(goldenFile(t, name, b), b) {
		t.Errorf("%s is not what the tables say: go test ./telemetry -update-control", name)
	}
}

// Digests are compared as opaque bytes; the file shows what they are taken over.
func TestGoldenDigests(t *testing.T) {
	type facts struct {
		Data          Facts  `json:"data"`
		MsgPack       string `json:"msgpack"`
		MsgPackDigest Digest `json:"msgpack_digest"`
		JSON          string `json:"json"`
		JSONDigest    Digest `json:"json_digest"`
	}
	type inventory struct {
		Items  []InventoryItem `json:"inv_list"`
		Digest Digest          `json:"inv"`
	}
	var list struct {
		Facts     []facts     `json:"facts"`
		Inventory []inventory `json:"inventory"`
	}
	for _, m := range goldenMessages() {
		if p, ok := m.value.(PluginData); ok && p.Data != nil {
			packed, err := p.Data.Encode(MsgPack)
			if err != nil {
				t.Fatal(err)
			}
			text, err := p.Data.Encode(JSON)
			if err != nil {
				t.Fatal(err)
			}
			list.Facts = append(list.Facts, facts{p.Data, hex.EncodeToString(packed), DigestOf(packed), string(text), DigestOf(text)})
		}
	}
	for _, items := range [][]InventoryItem{{}, fullHello().Inventory, agentHello().Inventory} {
		list.Inventory = append(list.Inventory, inventory{items, InventoryDigest(items)})
	}
	checkGoldenJSON(t, "digests.json", list)
}

// The parts among the golden messages are two halves of the facts beside them.
func TestGoldenParts(t *testing.T) {
	var parts []PluginData
	for _, name := range []string{"plugindata-part-1.json", "plugindata-part-2.msgpack"} {
		p, _, err := DecodePluginData(goldenFile(t, "valid/"+name, nil))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	whole, err := JoinPluginData(parts)
	if err != nil || !reflect.DeepEqual(whole.Data, partedFacts()) {
		t.Errorf("joined they are %v, %v; want %v", whole.Data, err, partedFacts())
	}
}

// A second decoder sees the same in both encodings: the keys of the structs are the keys on the wire.
func TestGoldenBothEncodingsSayTheSame(t *testing.T) {
	for _, m := range goldenMessages() {
		var packed, text map[string]any
		if err := msgpack.Unmarshal(goldenFile(t, "valid/"+m.name+".msgpack", nil), &packed); err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		if err := json.Unmarshal(goldenFile(t, "valid/"+m.name+".json", nil), &text); err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		if got := asJSON(t, packed); !reflect.DeepEqual(got, text) {
			t.Errorf("%s:\nmsgpack %v\njson    %v", m.name, got, text)
		}
	}
}

// asJSON is m as it looks in JSON: bin as hex, settings and schemas as values.
func asJSON(t testing.TB, m map[string]any) (out map[string]any) {
	t.Helper()
	var plain func(key string, v any) any
	plain = func(key string, v any) any {
		switch v := v.(type) {
		case []byte:
			if key == "chunk" {
				return string(v)
			}
			return hex.EncodeToString(v)
		case map[string]any:
			for k, sub := range maps.Clone(v) {
				v[k] = plain(k, sub)
			}
		case []any:
			for i := range v {
				v[i] = plain("", v[i])
			}
		case string:
			if key == "config" || key == "schema" {
				return json.RawMessage(v)
			}
		}
		return v
	}
	b, err := json.Marshal(plain("", m))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// goldenFile returns what a golden file holds; with -update-control it holds b.
func goldenFile(t testing.TB, name string, b []byte) []byte {
	t.Helper()
	path := filepath.Join(goldenDir, name)
	if *updateControl && b != nil {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
