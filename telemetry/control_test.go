package telemetry

import (
	"reflect"
	"testing"
)

func TestControlSmoke(t *testing.T) {
	h := fullBeat()
	for _, enc := range []Encoding{MsgPack, JSON} {
		b, err := EncodeControl(h, enc)
		if err != nil {
			t.Fatal(err)
		}
		got, e, err := DecodeHeartbeat(b)
		if err != nil || e != enc || !reflect.DeepEqual(got, h) {
			t.Errorf("%v: %v\n%+v\n%+v", enc, err, got, h)
		}
		t.Log(enc, len(b))
	}
}

func fullBeat() Heartbeat {
	return Heartbeat{
		Version: 1, Host: "6f1c2a9e4b7d4f0aa1b2c3d4e5f60718", Plugin: AgentName, Name: "web-1.example.org",
		Boot: "0b4c1f6e-7d1c-4f0e-9a55-0d5f1f7f8a11", Inst: "9f3c1a7e5b2d4c60", Gen: 17, Seq: 8123, IntervalMS: 10000,
		T1: 1763559525997744692, Mono1: 86400123456789, UpMS: 86400123, HostUpMS: 186400123,
		Digest: DigestOf([]byte("inventory")), Items: 42, Owner: "team-web", ConfigRev: 12, State: "running",
		Flags: []string{"refreshing"}, Error: &Fault{Code: "timeout", Message: "read disk: deadline exceeded", AgeMS: 5300},
		Plugins: &PluginCounts{OK: 39, Fail: 2, Late: 1, Worst: map[string]string{"disk": "failed", "nginx": "late"}},
		Load:    map[string]float64{"load1": 0.25, "load5": 0.5, "load15": 0.75, "rss": 31457280, "queue": 0},
		Ack:     8122, AckLost: 3, RTTUS: 412, OffsetUS: -1234,
	}
}
