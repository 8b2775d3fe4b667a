package hardware

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// cpu is what the CPUs of a machine are, taken to be alike. Their clock of the moment is no fact.
type cpu struct {
	Cores     int    `json:"cores,omitzero"`
	Family    string `json:"family,omitzero"`
	Flags     string `json:"flags_digest,omitzero"` // equal where the CPUs can do the same
	MaxMHz    uint64 `json:"max_mhz,omitzero"`
	Microcode string `json:"microcode,omitzero"`
	Model     string `json:"model,omitzero"`
	Sockets   int    `json:"sockets,omitzero"`
	Stepping  string `json:"stepping,omitzero"`
	Threads   int    `json:"threads,omitzero"` // that are online
	Vendor    string `json:"vendor,omitzero"`
}

const (
	cpuFolder = "devices/system/cpu/"
	maxCPUs   = 8192
)

func (s *survey) cpu() {
	info := s.cpuinfo()
	c := cpu{
		Model:     machine.Clean(first(info, "model name", "cpu model", "cpu", "uarch", "CPU part")),
		Vendor:    vendor(machine.Clean(first(info, "vendor_id", "CPU implementer", "mvendorid"))),
		Family:    machine.Clean(first(info, "cpu family", "CPU architecture")),
		Stepping:  machine.Clean(first(info, "stepping", "CPU revision")),
		Microcode: machine.Clean(info["microcode"]),
		Flags:     flagsDigest(first(info, "flags", "Features", "isa")),
		MaxMHz:    s.maxMHz(),
	}
	s.topology(&c)
	if c != (cpu{}) {
		s.facts["cpu"] = c
	}
}

// cpuinfo returns what the kernel says of the first CPU. To write about all of them takes it a while on large machines.
func (s *survey) cpuinfo() map[string]string {
	info := map[string]string{}
	for line := range s.MustLines(s.Proc, "cpuinfo") {
		key, value, ok := strings.Cut(line, ":")
		key = strings.TrimSpace(key)
		if _, again := info[key]; line == "" && info["processor"] != "" || again {
			break
		}
		if ok && len(info) < 128 {
			info[key] = strings.TrimSpace(value)
		}
	}
	return info
}

// first returns the first of the values of keys that is there.
func first(info map[string]string, keys ...string) string {
	for _, key := range keys {
		if info[key] != "" {
			return info[key]
		}
	}
	return ""
}

// vendor returns the name for the number by which an ARM CPU names its maker.
func vendor(id string) string {
	names := map[string]string{
		"0x41": "ARM", "0x42": "Broadcom", "0x43": "Cavium", "0x46": "Fujitsu", "0x48": "HiSilicon", "0x4e": "NVIDIA",
		"0x50": "APM", "0x51": "Qualcomm", "0x61": "Apple", "0x6d": "Microsoft", "0xc0": "Ampere",
	}
	if name := names[id]; name != "" {
		return name
	}
	return id
}

// flagsDigest stands for a list of flags, whatever their order.
func flagsDigest(flags string) string {
	if flags == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(strings.Fields(flags))), " ")))
	return hex.EncodeToString(sum[:8])
}

// maxMHz returns the highest clock that a CPU may have.
func (s *survey) maxMHz() uint64 {
	highest := uint64(0)
	for _, policy := range s.Names(s.Sys, cpuFolder+"cpufreq") {
		if strings.HasPrefix(policy, "policy") {
			highest = max(highest, s.Number(s.Sys, cpuFolder+"cpufreq/"+policy+"/cpuinfo_max_freq"))
		}
	}
	return highest / 1000
}

// topology counts threads, cores and sockets.
func (s *survey) topology(c *cpu) {
	type core struct{ socket, id string }
	sockets, cores := map[string]bool{}, map[core]bool{}
	for _, name := range s.Names(s.Sys, strings.TrimSuffix(cpuFolder, "/")) {
		number, ok := strings.CutPrefix(name, "cpu")
		if _, err := strconv.ParseUint(number, 10, 16); !ok || err != nil || c.Threads == maxCPUs {
			continue
		}
		at := core{socket: s.Word(s.Sys, cpuFolder+name+"/topology/physical_package_id"), id: s.Word(s.Sys, cpuFolder+name+"/topology/core_id")}
		if at.id == "" { // it is offline
			continue
		}
		c.Threads++
		sockets[at.socket], cores[at] = true, true
	}
	c.Sockets, c.Cores = len(sockets), len(cores)
}
