package hardware

import (
	"slices"
	"strings"
)

// virtual is what a machine runs in, and what told so.
type virtual struct {
	By   string `json:"by,omitzero"`
	Kind string `json:"kind"`
}

const none = "none"

func (s *survey) virtual() {
	s.facts["virtual_machine"] = s.hypervisor()
	s.facts["container"] = s.container()
}

// hypervisor tells which one the machine runs on. What the kernel knows goes before what the firmware says.
func (s *survey) hypervisor() virtual {
	if strings.Contains(s.Try(s.Proc, "xen/capabilities"), "control_d") {
		return virtual{"xen/capabilities", none} // the system that Xen itself is run from
	}
	if kind := s.Word(s.Sys, "hypervisor/type"); kind != "" {
		return virtual{"hypervisor/type", kind}
	}
	if v := s.clock(); v.Kind != "" {
		return v
	}
	for _, file := range []string{"sys_vendor", "product_name", "bios_vendor", "board_vendor"} {
		if kind := hypervisorOf(s.Try(s.Sys, "class/dmi/id/"+file)); kind != "" {
			return virtual{"dmi " + file, kind}
		}
	}
	if slices.Contains(strings.Fields(s.cpuinfo()["flags"]), "hypervisor") {
		return virtual{"cpu flag hypervisor", "unknown"}
	}
	return virtual{Kind: none}
}

// clock tells the hypervisor by the clock that it offers.
func (s *survey) clock() virtual {
	offered := strings.Fields(s.Word(s.Sys, "devices/system/clocksource/clocksource0/available_clocksource"))
	for _, c := range []struct{ name, kind string }{
		{"kvm-clock", "kvm"}, {"hyperv_clocksource_tsc_page", "hyper-v"}, {"hyperv_clocksource_msr", "hyper-v"}, {"xen", "xen"},
	} {
		if slices.Contains(offered, c.name) {
			return virtual{"clocksource " + c.name, c.kind}
		}
	}
	return virtual{}
}

// hypervisorOf returns the hypervisor whose machines have such firmware, "" if none does. The makers of clouds are not in
// it: they rent out bare metal too.
func hypervisorOf(text string) string {
	for _, h := range []struct{ mark, kind string }{
		{"QEMU", "kvm"}, {"KVM", "kvm"}, {"Bochs", "kvm"}, {"OpenStack", "kvm"}, {"Google Compute Engine", "kvm"}, {"VMware", "vmware"},
		{"VirtualBox", "virtualbox"}, {"innotek", "virtualbox"}, {"Virtual Machine", "hyper-v"}, {"Xen", "xen"}, {"Parallels", "parallels"},
		{"Apple Virtualization", "apple"}, {"BHYVE", "bhyve"},
	} {
		if strings.Contains(text, h.mark) {
			return h.kind
		}
	}
	return ""
}

// container tells what kind of container this is. The marks that its maker leaves go before the names of control groups.
func (s *survey) container() virtual {
	if kind := s.Try(s.Root, "run/systemd/container"); kind != "" {
		return virtual{"run/systemd/container", kind}
	}
	for _, mark := range []struct{ file, kind string }{
		{"var/run/secrets/kubernetes.io", "kubernetes"}, {"run/.containerenv", "podman"}, {".dockerenv", "docker"}, {"dev/lxd", "lxc"},
	} {
		if s.Root.Has(mark.file) {
			return virtual{mark.file, mark.kind}
		}
	}
	for line := range s.Lines(s.Proc, "1/cgroup") {
		if kind := cgroupOf(line); kind != "" {
			return virtual{"control group of process 1", kind}
		}
	}
	return virtual{Kind: none}
}

// cgroupOf returns what makes control groups of such names, "" for those of a machine itself.
func cgroupOf(path string) string {
	for _, c := range []struct{ mark, kind string }{
		{"kubepods", "kubernetes"}, {"libpod", "podman"}, {"docker", "docker"}, {"/lxc", "lxc"}, {"containerd", "containerd"}, {"machine.slice", "systemd-nspawn"},
	} {
		if strings.Contains(path, c.mark) {
			return c.kind
		}
	}
	return ""
}
