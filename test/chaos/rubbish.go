package main

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// floodRate is how many points a second a flood has.
const floodRate = 1_000_000

// flood writes points to a TCP address, as many as the rate is or as it takes, and returns how many. No two are the same.
func flood(address string, lasts time.Duration) (sent int) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0
	}
	defer c.Close()
	const pieces = 200 // a second
	tick := time.NewTicker(time.Second / pieces)
	defer tick.Stop()
	var text []byte
	for end := time.Now().Add(lasts); time.Now().Before(end); <-tick.C {
		text = text[:0]
		for range floodRate / pieces {
			sent++
			text = append(strconv.AppendInt(append(text, "flood,host=f value=1 "...), 1763559525_000000000+int64(sent), 10), '\n')
		}
		if _, err := c.Write(text); err != nil {
			return sent // a number that fits nothing
		}
	}
	return sent
}

// longestRun is how often a letter stands behind itself at most.
func longestRun(text string, letter byte) (most int) {
	n := 0
	for i := range len(text) {
		if text[i] != letter {
			n = 0
			continue
		}
		n++
		most = max(most, n)
	}
	return most
}

// malformedLines are bodies of requests in which nothing is line protocol.
func malformedLines() []string {
	return []string{
		"garbage\n", "cpu v=\n", "cpu,=x v=1\n", "cpu v=1 notatime\n", "\x00\xff\xfe\x01\n", "cpu v=NaN\n", "=====\n", "cpu v=1i2\n",
		"cpu v=99999999999999999999i\n", "cpu,host=\xff v=1\n", "cpu v=\"open\n", strings.Repeat("a,", 1000) + "\n",
		strings.Repeat("y", 2<<20) + "\n", `{"series":"cpu"}` + "\n",
	}
}

// malformedBodies are messages that are no batch.
func malformedBodies() [][]byte {
	var b telemetry.Batch
	b.Add("good", telemetry.Fields{"v": 1}, telemetry.Tags{"host": "h"})
	good := b.AppendMsgPack(nil)
	return [][]byte{
		{},
		[]byte("\xdd\xff\xff\xff\xff"), // a list of four thousand million
		[]byte("\xdf\xff\xff\xff\xff"), // a map as large
		[]byte("\xc6\xff\xff\xff\xff"), // bytes as many
		[]byte("\xdb\xff\xff\xff\xff"), // a text as long
		[]byte(strings.Repeat("\x91", 1_000_000) + "\xc0"), // lists in lists
		[]byte(strings.Repeat("\x81\xa1a", 300_000)),       // maps in maps
		slices.Concat(good, []byte{0xc0}),                  // more behind it
		good[:len(good)-1],
		[]byte("\x83\xa1v\x01\xa1v\x01\xa1v\x01"), // one key three times
		[]byte("\xc1\xc1\xc1"),
		[]byte("\xd4\x05\x00"),         // an extension
		[]byte("\x81\xa2\xff\xfe\x01"), // a key that is no text
		[]byte("{\"v\":1,\"groups\":[[[[["),
	}
}

// publishRaw stores bodies as if a plugin had sent them.
func (t *trial) publishRaw(plugin string, bodies [][]byte) {
	conn, host, err := t.place.Connect(t.ctx)
	t.must(err, "connect to the bus")
	defer conn.Close()
	out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: host, Plugin: plugin})
	t.must(err, "make a publisher")
	defer out.Close()
	for _, body := range bodies {
		m := bus.Message{Subject: bus.MetricsSubject(host, plugin), ContentType: string(telemetry.ContentMsgPack), Body: body}
		t.must(out.Publish(t.ctx, m), "publish what is no batch")
	}
}

// postText posts a text that is not the oracle's, and returns the answer.
func (t *trial) postText(text string) int {
	code, _ := t.source.postText(t.ctx, text)
	return code
}
