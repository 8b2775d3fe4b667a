package network

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"iter"
	"math/bits"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// route is a route of the main table.
type route struct {
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Interface   string       `json:"interface"`
	Metric      uint64       `json:"metric,omitzero"`
	Destination netip.Prefix `json:"to"`
}

func (s *survey) routes() {
	routes := map[string][]route{}
	for _, family := range []struct {
		name, file string
		needed     bool
		parse      func(words []string) (route, bool)
	}{{"v4", "net/route", runtime.GOOS == "linux", parseRoute4}, {"v6", "net/ipv6_route", false, parseRoute6}} {
		list := s.table(s.lines(family.file, family.needed), family.parse)
		if list = cut(s, list); len(list) > 0 {
			routes[family.name] = list
		}
	}
	if len(routes) > 0 {
		s.facts["routes"] = routes
	}
}

// lines returns the lines of a table. That of a router may have no end that we could wait for.
func (s *survey) lines(file string, needed bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line, err := range s.Proc.Lines(file, 0) {
			switch {
			case errors.Is(err, machine.ErrTooLong):
				s.facts["truncated"] = true
			case err != nil && (needed || !machine.Absent(err)):
				s.Fault(err)
			case err == nil && !yield(line):
				return
			}
		}
	}
}

// table returns the routes in lines, the default ones first.
func (s *survey) table(lines iter.Seq[string], parse func(words []string) (route, bool)) []route {
	var list []route
	for line := range lines {
		r, ok := parse(strings.Fields(line))
		if ok && !s.skipped(r.Interface) {
			r.Interface = machine.Clean(r.Interface)
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b route) int {
		return cmp.Or(isDefault(a)-isDefault(b), a.Destination.Compare(b.Destination), cmp.Compare(a.Metric, b.Metric),
			a.Gateway.Compare(b.Gateway), cmp.Compare(a.Interface, b.Interface))
	})
	return slices.Compact(list)
}

// isDefault returns what sorts default routes before others.
func isDefault(r route) int {
	if r.Destination.Bits() == 0 {
		return 0
	}
	return 1
}

// Flags of routes.
const (
	flagUp      = 0x0001
	flagReject  = 0x0200
	flagAnycast = 0x00100000
	flagCache   = 0x01000000
	flagLocal   = 0x80000000
)

// parseRoute4 reads the words of a line of net/route: interface, destination, gateway, flags, two counters, metric, mask.
// Addresses are numbers in the order of the machine's bytes.
func parseRoute4(words []string) (r route, ok bool) {
	if len(words) < 8 {
		return r, false
	}
	to, err := addr4(words[1])
	gateway, err2 := addr4(words[2])
	flags, err3 := strconv.ParseUint(words[3], 16, 32)
	mask, err4 := strconv.ParseUint(words[7], 16, 32)
	if err != nil || err2 != nil || err3 != nil || err4 != nil || flags&flagUp == 0 || flags&flagReject != 0 {
		return r, false
	}
	r.Interface = words[0]
	r.Destination = netip.PrefixFrom(to, bits.OnesCount32(uint32(mask)))
	if !gateway.IsUnspecified() {
		r.Gateway = gateway
	}
	r.Metric, err = strconv.ParseUint(words[6], 10, 32)
	return r, err == nil
}

func addr4(text string) (netip.Addr, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b), err
}

// parseRoute6 reads the words of a line of net/ipv6_route: destination and its length, source and its length, gateway,
// metric, two counters, flags, interface. What the kernel makes by itself for each address is left out.
func parseRoute6(words []string) (r route, ok bool) {
	if len(words) < 10 {
		return r, false
	}
	to, ok := hexAddr(words[0])
	gateway, ok2 := hexAddr(words[4])
	size, err := hex.DecodeString(words[1])
	flags, err2 := strconv.ParseUint(words[8], 16, 32)
	metric, err3 := strconv.ParseUint(words[5], 16, 32)
	if !ok || !ok2 || err != nil || err2 != nil || err3 != nil || len(size) != 1 || size[0] > 128 {
		return r, false
	}
	if flags&flagUp == 0 || flags&(flagReject|flagAnycast|flagCache|flagLocal) != 0 || to.IsMulticast() || to.IsLinkLocalUnicast() {
		return r, false
	}
	r = route{Destination: netip.PrefixFrom(to, int(size[0])), Metric: metric, Interface: words[9]}
	if !gateway.IsUnspecified() {
		r.Gateway = gateway
	}
	return r, true
}
