package e2e

import (
	"net"
	"slices"
	"strings"
	"testing"
)

// What a program sends by UDP is added up, told in the last flush when the plugin ends, and an event of it is one of the bus.
func TestStatsd(t *testing.T) {
	t.Parallel()
	s := up(t, `
collect: { apps: { use: statsd, listen: "udp://127.0.0.1:0", flush: 1h } }
publish: { file: { use: lines, from: apps, path: points.lp } }
`)
	c, err := net.Dial("udp", strings.TrimPrefix(s.listening("apps"), "udp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range []string{"page.views:1|c|@0.1|#route:index\npage.views:2:3|c|#route:index", "queue:5|g\nqueue:-7|g", "bad", "_sc|db|2|m:no answer", "_e{6,4}:deploy|v1.2|t:warning|k:v1"} {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	s.await(readyWithin, "the event", func() bool {
		list := s.do("events", "--plugin", "apps", "--type", "warning", "-o", "json")
		return strings.Contains(list, `deploy\nv1.2`)
	})
	s.do("plugin", "stop", "apps")
	var got []string
	s.await(readyWithin, "the last flush", func() bool {
		got = nil
		for _, line := range lines(t, s.path("points.lp")) {
			got = append(got, line[:strings.LastIndexByte(line, ' ')])
		}
		return len(got) >= 3
	})
	slices.Sort(got)
	_, host := s.connect()
	want := []string{
		"check_state,check=db,host=" + host + ` state=2i,text="no answer"`,
		"page.views,host=" + host + ",route=index total=15,value=15",
		"queue,host=" + host + " value=-2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
