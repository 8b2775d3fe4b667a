package plugin

import (
	"errors"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

func TestShortenKeepsCharacters(t *testing.T) {
	var c counters
	c.fail("error", errors.New(strings.Repeat("x", 199)+"é and so on"))
	h := telemetry.Heartbeat{Version: 1, Host: "h", Plugin: "p", Inst: "i", Seq: 1, IntervalMS: 1000, Error: c.stats().LastError}
	body, err := telemetry.EncodeControl(h, telemetry.MsgPack)
	t.Log("encode:", err)
	_, _, err = telemetry.DecodeHeartbeat(body)
	t.Log("decode:", err)
	if err != nil {
		t.Fail()
	}
	var d counters
	d.fail("error", errors.New("open /data/\xff\xfe: no such file"))
	h.Error = d.stats().LastError
	body, err = telemetry.EncodeControl(h, telemetry.MsgPack)
	t.Log("encode:", err)
	_, _, err = telemetry.DecodeHeartbeat(body)
	t.Log("decode:", err)
	if err != nil {
		t.Fail()
	}
}
