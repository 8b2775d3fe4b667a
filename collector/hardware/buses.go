package hardware

import (
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// nic is a network interface that a device stands behind.
type nic struct {
	Bus    string `json:"bus,omitzero"` // where the device is, such as 0000:01:00.0
	Driver string `json:"driver,omitzero"`
	ID     string `json:"id,omitzero"` // vendor and device, such as 8086:1572
	MAC    string `json:"mac,omitzero"`
	Name   string `json:"name"`
	Speed  uint64 `json:"speed_mbit,omitzero"` // of the link, where one is up
}

func (s *survey) nics() {
	var list []nic
	for _, name := range s.Names(s.Sys, "class/net") {
		at := "class/net/" + name + "/"
		if !s.Sys.Has(at + "device") {
			continue
		}
		if full(s, list) {
			break
		}
		list = append(list, nic{
			Name:   machine.Clean(name),
			Bus:    s.Sys.Base(at + "device"),
			Driver: s.Sys.Base(at + "device/driver"),
			ID:     s.id(at + "device/"),
			MAC:    s.mac(at),
			Speed:  speed(s.Try(s.Sys, at+"speed")),
		})
	}
	put(s.facts, "nics", list)
}

// mac returns the address that a NIC was made with: in a bond it shows another one.
func (s *survey) mac(at string) string {
	return s.firstWord(at+"bonding_slave/perm_hwaddr", at+"address")
}

// speed returns the megabits a second that a link has; the kernel writes -1, or nothing, where there is none.
func speed(text string) (n uint64) {
	for _, digit := range text {
		if digit < '0' || digit > '9' || n > 1e9 {
			return 0
		}
		n = 10*n + uint64(digit-'0')
	}
	if n >= 1<<32-1 { // -1 by another driver
		return 0
	}
	return n
}

// id returns the numbers of vendor and device, "" where the device has none.
func (s *survey) id(at string) string {
	vendor, device := s.Word(s.Sys, at+"vendor"), s.Word(s.Sys, at+"device")
	if vendor == "" || device == "" {
		return ""
	}
	return strings.TrimPrefix(vendor, "0x") + ":" + strings.TrimPrefix(device, "0x")
}

// gpu is a display controller or an accelerator on the PCI bus.
type gpu struct {
	Bus    string `json:"bus"`
	Class  string `json:"class"`
	Driver string `json:"driver,omitzero"`
	ID     string `json:"id,omitzero"`
	Vendor string `json:"vendor,omitzero"`
}

// buses counts what is on PCI and USB, and tells the GPUs.
func (s *survey) buses() {
	var list []gpu
	slots := s.Names(s.Sys, "bus/pci/devices")
	for _, slot := range slots {
		at := "bus/pci/devices/" + slot + "/"
		class := gpuClass(s.Word(s.Sys, at+"class"))
		if class == "" {
			continue
		}
		if full(s, list) {
			break
		}
		id := s.id(at)
		list = append(list, gpu{Bus: machine.Clean(slot), Class: class, Driver: s.Sys.Base(at + "driver"), ID: id, Vendor: gpuVendor(id)})
	}
	put(s.facts, "gpus", list)
	if len(slots) > 0 {
		s.facts["pci_devices"] = len(slots)
	}
	if n := s.usb(); n > 0 {
		s.facts["usb_devices"] = n
	}
}

// gpuClass returns the word for a PCI class (base class, subclass, interface), "" for one of other devices.
func gpuClass(class string) string {
	switch {
	case strings.HasPrefix(class, "0x0300"):
		return "vga"
	case strings.HasPrefix(class, "0x0302"):
		return "3d"
	case strings.HasPrefix(class, "0x03"):
		return "display"
	case strings.HasPrefix(class, "0x12"):
		return "accelerator"
	}
	return ""
}

func gpuVendor(id string) string {
	vendor, _, _ := strings.Cut(id, ":")
	return map[string]string{"10de": "NVIDIA", "1002": "AMD", "8086": "Intel", "1a03": "ASPEED", "102b": "Matrox", "15ad": "VMware", "1234": "QEMU",
		"1414": "Microsoft", "1af4": "Red Hat", "1b36": "Red Hat"}[vendor]
}

// usb counts the devices on USB: neither the hubs that the controllers are, nor the interfaces within a device.
func (s *survey) usb() int {
	n := 0
	for _, name := range s.Names(s.Sys, "bus/usb/devices") {
		if !strings.HasPrefix(name, "usb") && !strings.Contains(name, ":") {
			n++
		}
	}
	return n
}
