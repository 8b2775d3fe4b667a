package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/internal/machinetest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// card is an interface that the kernel of a made machine tells about.
type card struct {
	net.Interface
	addresses []string
}

func newCard(name string, mtu int, flags net.Flags, mac string, addresses ...string) card {
	hardware, _ := net.ParseMAC(mac)
	return card{net.Interface{Name: name, MTU: mtu, Flags: flags, HardwareAddr: hardware}, addresses}
}

func server() []card {
	return []card{
		newCard("vlan20", 1500, net.FlagUp, "b0:7b:25:00:00:01", "192.168.20.7/24"),
		newCard("lo", 65536, net.FlagUp|net.FlagLoopback, "", "127.0.0.1/8", "::1/128"),
		newCard("enp5s0f0", 9000, net.FlagUp, "b0:7b:25:00:00:01"),
		newCard("bond0", 9000, net.FlagUp, "b0:7b:25:00:00:01", "2001:db8::7/64", "10.2.0.7/16", "2001:db8::1234:5678:dead:beef/64", "fe80::b27b:25ff:fe00:1/64"),
		newCard("veth12ab", 1500, net.FlagUp, "02:00:00:00:00:01", "169.254.0.1/16"),
		newCard("tun9", 1400, 0, ""),
	}
}

func container() []card {
	return []card{newCard("eth0", 1500, net.FlagUp, "02:42:ac:11:00:02", "172.17.0.2/16")}
}

// at returns the collector of the machine in dir that has cards.
func at(dir string, cards []card) network {
	cfg := defaults()
	cfg.Proc, cfg.Sys, cfg.Root = machine.Dir(filepath.Join(dir, "proc")), machine.Dir(filepath.Join(dir, "sys")), machine.Dir(dir)
	interfaces := func() (list []net.Interface, err error) {
		for _, c := range cards {
			list = append(list, c.Interface)
		}
		return list, nil
	}
	addresses := func(i *net.Interface) (list []net.Addr, err error) {
		for _, c := range cards {
			for _, text := range c.addresses {
				ip, n, err := net.ParseCIDR(text)
				if c.Name == i.Name && err == nil {
					list = append(list, &net.IPNet{IP: ip, Mask: n.Mask})
				}
			}
		}
		return list, nil
	}
	return network{cfg, interfaces, addresses}
}

func look(t *testing.T, n network) (telemetry.Facts, error) {
	t.Helper()
	facts := telemetry.Facts{}
	err := n.Survey(t.Context(), facts)
	return facts, err
}

func TestMachines(t *testing.T) {
	f := func(name string, cards []card) {
		t.Helper()
		facts, err := look(t, at(machinetest.New(t, "testdata/"+name+".txt"), cards))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/"+name+".golden", machinetest.Show(t, facts))
	}
	f("server", server())
	f("container", container())
}

// Counters, and the order in which the kernel tells, are no facts.
func TestEqualFacts(t *testing.T) {
	dir := machinetest.New(t, "testdata/container.txt")
	before, err := look(t, at(dir, container()))
	if err != nil {
		t.Fatal(err)
	}
	machinetest.Put(t, dir, "proc/net/route", "Iface\tDestination\n"+
		"eth0\t000011AC\t00000000\t0001\t7\t8\t0\t0000FFFF\t0\t0\t0\n"+"eth0\t00000000\t010011AC\t0003\t7\t9\t0\t00000000\t0\t0\t0\n")
	after, err := look(t, at(dir, container()))
	if a, b := machinetest.Show(t, after), machinetest.Show(t, before); err != nil || string(a) != string(b) {
		t.Errorf("facts have changed: %v\n%s\n%s", err, a, b)
	}
}

func TestFaults(t *testing.T) {
	f := func(want error, file string, change func(dir, file string)) {
		t.Helper()
		dir := machinetest.New(t, "testdata/server.txt")
		change(dir, file)
		machinetest.Unprivileged(t, dir, func() {
			facts, err := look(t, at(dir, server()))
			if !errors.Is(err, want) || want != nil && !strings.Contains(err.Error(), file) || facts["interfaces"] == nil {
				t.Errorf("%s: %v, want %v; %v", file, err, want, facts)
			}
		})
	}
	forbid := func(dir, file string) { machinetest.Forbid(t, dir, file) }
	away := func(dir, file string) { machinetest.Link(t, dir, file, "away") }
	f(fs.ErrPermission, "proc/net/route", forbid)
	f(fs.ErrNotExist, "proc/net/route", away)
	f(nil, "proc/net/ipv6_route", away) // IPv6 is off
	f(fs.ErrPermission, "run/systemd/resolve/resolv.conf", forbid)
}

// Interfaces that cannot be listed cost no route.
func TestKernelFaults(t *testing.T) {
	n := at(machinetest.New(t, "testdata/container.txt"), container())
	n.interfaces = func() ([]net.Interface, error) { return nil, fs.ErrPermission }
	if facts, err := look(t, n); !errors.Is(err, fs.ErrPermission) || facts["routes"] == nil || facts["interfaces"] != nil {
		t.Errorf("without interfaces: %v, %v", facts, err)
	}
	n = at(machinetest.New(t, "testdata/container.txt"), container())
	n.addresses = func(*net.Interface) ([]net.Addr, error) { return nil, fs.ErrPermission }
	if facts, err := look(t, n); !errors.Is(err, fs.ErrPermission) || len(facts["interfaces"].([]link)) != 1 {
		t.Errorf("without addresses: %v, %v", facts, err)
	}
}

func TestMost(t *testing.T) {
	n := at(machinetest.New(t, "testdata/server.txt"), server())
	n.Most = 2
	facts, err := look(t, n)
	routes := facts["routes"].(map[string][]route)
	if err != nil || facts["truncated"] != true || len(facts["interfaces"].([]link)) != 2 || len(routes["v4"]) != 2 {
		t.Errorf("facts = %v, %v", facts, err)
	}
	if r := routes["v4"][0]; r.Destination.Bits() != 0 || r.Gateway.String() != "10.2.0.1" {
		t.Errorf("first route %+v, want the default one", r)
	}
}

// Files that are not what they should be give facts of a bounded size, and are never waited for.
func TestHostile(t *testing.T) {
	dir := machinetest.New(t, "testdata/server.txt")
	var table strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&table, "eth0\t%08X\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n", i)
	}
	machinetest.Put(t, dir, "proc/net/route", table.String())
	machinetest.Put(t, dir, "proc/net/ipv6_route", strings.Repeat("\xff zz 00\n", 1000)+strings.Repeat("0", 1<<16))
	machinetest.Pipe(t, dir, "etc/resolv.conf")
	facts, err := look(t, at(dir, server()))
	if err == nil || !strings.Contains(err.Error(), "resolv.conf: not a regular file") || strings.Contains(err.Error(), "route") {
		t.Errorf("error %v", err)
	}
	if text := machinetest.Show(t, facts); len(text) > 64<<10 || facts["truncated"] != true {
		t.Errorf("facts are %d bytes, truncated %v", len(text), facts["truncated"])
	}
	machinetest.Put(t, dir, "etc/resolv.conf", strings.Repeat("nameserver "+strings.Repeat("x", 1000)+"\n", 900)+"search"+strings.Repeat(" a", 1000))
	facts, _ = look(t, at(dir, server()))
	if r := facts["dns"].(resolver); len(r.Servers) != maxResolver || len(r.Servers[0]) != 256 || len(r.Search) != maxResolver {
		t.Errorf("%d name servers, %d domains", len(r.Servers), len(r.Search))
	}
}

func TestRoute4(t *testing.T) {
	f := func(line string, ok bool) {
		t.Helper()
		if r, got := parseRoute4(strings.Fields(line)); got != ok {
			t.Errorf("parseRoute4(%q) = %+v, %v", line, r, got)
		}
	}
	f("eth0 00000000 010011AC 0003 0 0 0 00000000", true)
	f("eth0 00000000 010011AC 0002 0 0 0 00000000", false) // it is not up
	f("eth0 00000000 010011AC 0003 0 0 0", false)
	f("eth0 x 010011AC 0003 0 0 0 00000000", false)
	f("eth0 00000000 0 zz 0 0 0 00000000", false)
	f("eth0 00000000 0 0003 0 0 -1 00000000", false)
	f("Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT", false)
	f("", false)
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := at(t.TempDir(), nil).Survey(ctx, telemetry.Facts{}); !errors.Is(err, context.Canceled) {
		t.Errorf("survey after the end of its context: %v", err)
	}
}

func TestThisMachine(t *testing.T) {
	d := Define()
	made, err := d.Build(t.Context(), d.Defaults(), plugin.Env{})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := look(t, made.(network))
	if err != nil {
		t.Errorf("survey: %v", err)
	}
	for _, l := range facts["interfaces"].([]link) {
		if l.Name == "lo" && (l.Type != "loopback" || len(l.Addresses) == 0) {
			t.Errorf("lo = %+v", l)
		}
	}
}

func TestValidate(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := defaults()
		change(&c)
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f("", func(*Config) {})
	f(`proc "": want a folder`, func(c *Config) { c.Proc = "" })
	f(`interfaces_skip "[": syntax error in pattern: close the bracket`, func(c *Config) { c.InterfacesSkip = []string{"["} })
	f("most 0: want 1 to 10000", func(c *Config) { c.Most = 0 })
	f("most 10001", func(c *Config) { c.Most = 10_001 })
}

func FuzzRoute6(f *testing.F) {
	f.Add("20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 1 0 00000001 eth0")
	f.Fuzz(func(t *testing.T, line string) {
		if r, ok := parseRoute6(strings.Fields(line)); ok && (!r.Destination.IsValid() || r.Interface == "") {
			t.Errorf("parseRoute6(%q) = %+v", line, r)
		}
		if r, ok := parseRoute4(strings.Fields(line)); ok && !r.Destination.IsValid() {
			t.Errorf("parseRoute4(%q) = %+v", line, r)
		}
	})
}
