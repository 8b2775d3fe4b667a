package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// olds are a Munin plugin, and a program of collectd's exec plugin, both as they are.
const olds = `
host: web-1
collect:
  nodes:  { use: munin, plugins: [ PLACE/plugins ], conf: PLACE/conf, every: 1s }
  legacy: { use: execd, format: collectd, USER every: 3s, command: [sh, PLACE/legacy.sh] }
publish:
  file:   { use: lines, from: [nodes, legacy], path: points.lp }
`

// Munin plugins and programs of collectd run under an agent: their values and states arrive, and a notification is an event.
func TestMuninAndCollectd(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, dir := range []string{"plugins", "conf"} {
		if err := os.Mkdir(p.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.write("conf/munin-node", "[pool_*]\nenv.most 5\n")
	p.write("plugins/pool_", "#!/bin/sh\necho multigraph ${0##*/}.sub\necho used.warning $most\necho used.value 7\n")
	if err := os.Chmod(p.path("plugins/pool_"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pool_", p.path("plugins/pool_web")); err != nil {
		t.Fatal(err)
	}
	p.write("legacy.sh", `echo "PUTVAL $COLLECTD_HOSTNAME/queue-mail/gauge-length interval=$COLLECTD_INTERVAL N:$COLLECTD_INTERVAL"
echo "PUTNOTIF severity=failure time=$(date +%s) host=$COLLECTD_HOSTNAME plugin=queue message=it is full"
exec cat
`)
	user := ""
	if os.Geteuid() == 0 { // which such programs are only where somebody says so
		user = "user: root,"
	}
	s := p.start("up", "--plain", p.write("pacewire.yaml", strings.NewReplacer("PLACE", p.dir, "USER", user).Replace(olds)))
	s.awaitRunning()
	for _, want := range []string{
		"munin_pool_web,graph=pool_web.sub,host=web-1 used=7 ",
		`check_state,check=pool_web.sub.used,host=web-1 state=1i,text="used: 7 is not within :5, the limit of warning" `,
		"queue_gauge,host=web-1,instance=mail,type_instance=length value=3 ",
		`check_state,check=queue,host=web-1 state=2i,text="it is full" `,
	} {
		s.await(readyWithin, fmt.Sprintf("%q arrives", want), func() bool {
			for _, line := range lines(t, s.path("points.lp")) {
				if strings.HasPrefix(line, want) {
					return true
				}
			}
			return false
		})
	}
	s.await(readyWithin, "the notification is an event", func() bool {
		return strings.Contains(s.do("events", "--plugin", "legacy", "--type", "notification", "-o", "json"), "queue is CRITICAL: it is full")
	})
	s.drain()
}
