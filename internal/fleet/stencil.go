package fleet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Stencils are encoded messages with places that are filled in for each host. All that is filled in has one length, so that the
// places stay where they are. To encode a beat takes 3.4 us, to fill one in 0.03.

// Numbers and texts that mark a place.
const (
	wide       = 1 << 40                         // takes eight bytes, as all after it do
	halfWide   = telemetry.MaxIntervalMS - 12345 // takes four
	noChange   = "change 00000000"
	changeText = "change %08d"
)

// place returns where the value of a key stands. The value has a head of its own there, which is left as it is.
func place(body []byte, key string, value []byte) int {
	at := bytes.Index(body, append([]byte{0xa0 | byte(len(key))}, key...))
	if at >= 0 {
		from := at + 1 + len(key)
		if skip := bytes.Index(body[from:min(len(body), from+3+len(value))], value); skip >= 0 {
			return from + skip
		}
	}
	panic(fmt.Sprintf("fleet: no place for %s in a message", key))
}

func eight(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func encode(message any) []byte {
	body, err := telemetry.EncodeControl(message, telemetry.MsgPack)
	if err != nil {
		panic(fmt.Sprintf("fleet: %T: %v", message, err)) // all that goes in is our own
	}
	return body
}

// A beatStencil is a steady beat.
type beatStencil struct {
	body                                                      []byte
	host, name, boot, inst, digest                            int
	gen, seq, interval, wall, mono, up, hostUp, acked, missed int
}

func newBeatStencil(b telemetry.Heartbeat) beatStencil {
	b.Digest = telemetry.DigestOf([]byte("place"))
	b.Gen, b.Seq, b.IntervalMS, b.T1, b.Mono1, b.UpMS, b.HostUpMS, b.Ack, b.AckLost = wide, wide+1, halfWide, wide+2, wide+3, wide+4, wide+5, wide+6, wide+7
	body := encode(b)
	return beatStencil{
		body: body,
		host: place(body, "host", []byte(b.Host)), name: place(body, "name", []byte(b.Name)),
		boot: place(body, "boot", []byte(b.Boot)), inst: place(body, "inst", []byte(b.Inst)), digest: place(body, "inv", b.Digest[:]),
		gen: place(body, "gen", eight(wide)), seq: place(body, "seq", eight(wide+1)),
		interval: place(body, "int_ms", binary.BigEndian.AppendUint32(nil, halfWide)),
		wall:     place(body, "t1", eight(wide+2)), mono: place(body, "mono1", eight(wide+3)),
		up: place(body, "up_ms", eight(wide+4)), hostUp: place(body, "host_up_ms", eight(wide+5)),
		acked: place(body, "ack", eight(wide+6)), missed: place(body, "ack_lost", eight(wide+7)),
	}
}

// fill appends the beat of a host.
func (s *beatStencil) fill(dst []byte, h *host, now time.Time) []byte {
	from := len(dst)
	dst = append(dst, s.body...)
	b := dst[from:]
	copy(b[s.host:], h.name)
	copy(b[s.name:], h.name)
	copy(b[s.boot:], h.boot)
	copy(b[s.inst:], h.inst)
	copy(b[s.digest:], h.digest[:])
	up := now.Sub(h.begun)
	binary.BigEndian.PutUint32(b[s.interval:], uint32(h.interval.Milliseconds()))
	for _, one := range [...]struct {
		at int
		n  uint64
	}{
		{s.gen, h.gen}, {s.seq, h.seq}, {s.wall, uint64(now.UnixNano())}, {s.mono, uint64(up)}, {s.up, uint64(up.Milliseconds())},
		{s.hostUp, uint64((up + hostEarlier).Milliseconds())}, {s.acked, h.acked}, {s.missed, h.missed},
	} {
		binary.BigEndian.PutUint64(b[one.at:], one.n)
	}
	return dst
}

// hostEarlier is how much longer the machine runs than its agent.
const hostEarlier = time.Minute

// A dataStencil is an entry of the inventory as it is published.
type dataStencil struct {
	plugin, typ              string
	body                     []byte
	host, inst, time, digest int
	facts                    int // from here to the end
	factsHost                int // 0: the facts do not name the host
	change                   int
}

func newDataStencil(plugin, typ, host string, facts telemetry.Facts) dataStencil {
	d := telemetry.PluginData{
		Version: telemetry.ProtocolVersion, Host: host, Inst: newInst(), Plugin: plugin, Type: typ, ProgramVersion: version,
		Time: wide, DurationUS: 1500, Digest: telemetry.DigestOf([]byte("place")), Data: facts,
	}
	body := encode(d)
	encoded, err := facts.Encode(telemetry.MsgPack)
	if err != nil || !bytes.HasSuffix(body, encoded) {
		panic(fmt.Sprintf("fleet: facts of %s/%s are not the end of their message: %v", plugin, typ, err))
	}
	s := dataStencil{
		plugin: plugin, typ: typ, body: body, facts: len(body) - len(encoded),
		host: place(body, "host", []byte(host)), inst: place(body, "inst", []byte(d.Inst)), time: place(body, "t", eight(wide)),
		digest: place(body, "digest", d.Digest[:]),
	}
	s.change = s.facts + place(encoded, "change", []byte(noChange))
	if _, ok := facts["host"]; ok {
		s.factsHost = s.facts + place(encoded, "host", []byte(host))
	}
	return s
}

// fill appends the n-th entry of a host. Its digest is that of the host's item.
func (s *dataStencil) fill(dst []byte, h *host, n int, at time.Time) []byte {
	from := len(dst)
	dst = append(dst, s.body...)
	b := dst[from:]
	copy(b[s.host:], h.name)
	copy(b[s.inst:], h.inst)
	copy(b[s.digest:], h.items[n].Digest[:])
	binary.BigEndian.PutUint64(b[s.time:], uint64(at.UnixNano()))
	if s.factsHost > 0 {
		copy(b[s.factsHost:], h.name)
	}
	copy(b[s.change:], fmt.Appendf(nil, changeText, h.changes[n]))
	return dst
}

// item is how a host lists its n-th entry.
func (s *dataStencil) item(h *host, n int) telemetry.InventoryItem {
	body := s.fill(nil, h, n, time.Now())
	return telemetry.InventoryItem{Plugin: s.plugin, Type: s.typ, Version: version, Digest: telemetry.DigestOf(body[s.facts:])}
}

// size is how many bytes the facts have.
func (s *dataStencil) size() int { return len(s.body) - s.facts }
