package hardware

import (
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// disk is a whole disk that is fitted. What only stands for others (dm, md, loop) is none, nor is a drive
// for discs.
type disk struct {
	Firmware   string `json:"firmware,omitzero"`
	Model      string `json:"model,omitzero"`
	Name       string `json:"name"`
	Removable  bool   `json:"removable,omitzero"`
	Rotational bool   `json:"rotational,omitzero"`
	Serial     string `json:"serial,omitzero"`
	Size       uint64 `json:"size,omitzero"` // bytes
	Transport  string `json:"transport,omitzero"`
	Vendor     string `json:"vendor,omitzero"`
}

const sector = 512 // bytes, the unit of sizes in sysfs whatever the disk's own

func (s *survey) disks() {
	var list []disk
	for _, name := range s.Names(s.Sys, "block") {
		at := "block/" + name + "/"
		if strings.HasPrefix(name, "sr") || strings.HasPrefix(name, "fd") || !s.Sys.Has(at+"device") || s.Number(s.Sys, at+"hidden") == 1 {
			continue
		}
		if full(s, list) {
			break
		}
		list = append(list, s.disk(name, at))
	}
	put(s.facts, "disks", list)
}

func (s *survey) disk(name, at string) disk {
	d := disk{
		Name:       machine.Clean(name),
		Model:      s.Word(s.Sys, at+"device/model"),
		Vendor:     diskVendor(s.Word(s.Sys, at+"device/vendor")),
		Firmware:   s.firstWord(at+"device/firmware_rev", at+"device/rev"),
		Serial:     s.serial(at),
		Size:       s.Number(s.Sys, at+"size") * sector,
		Removable:  s.Number(s.Sys, at+"removable") == 1,
		Rotational: s.Number(s.Sys, at+"queue/rotational") == 1,
		Transport:  transport(name, s.Sys.Link("block/"+name)),
	}
	if d.Removable {
		d.Size = 0 // which changes with the medium in it
	}
	return d
}

// diskVendor leaves out what says nothing: the bus, or the number of one.
func diskVendor(name string) string {
	if name == "ATA" || strings.HasPrefix(name, "0x") {
		return ""
	}
	return name
}

// serial returns the number of a disk. Not every user may read it.
func (s *survey) serial(at string) string {
	for _, file := range []string{"serial", "device/serial"} {
		if number := s.Try(s.Sys, at+file); number != "" {
			return number
		}
	}
	page, _ := s.Sys.Head(at+"device/vpd_pg80", 256) // of SCSI: a head of four bytes, then the number
	if len(page) <= 4 {
		return ""
	}
	return machine.Clean(string(page[4:]))
}

// firstWord returns the first of some files of sysfs that is there.
func (s *survey) firstWord(files ...string) string {
	for _, file := range files {
		if word := s.Word(s.Sys, file); word != "" {
			return word
		}
	}
	return ""
}

// transport tells by the name of a disk and the path of its device how it is attached.
func transport(name, path string) string {
	for _, t := range []struct{ name, path, is string }{
		{"nvme", "", "nvme"},
		{"mmcblk", "", "mmc"},
		{"xvd", "", "xen"},
		{"", "/usb", "usb"},
		{"", "/virtio", "virtio"},
		{"", "/end_device-", "sas"},
		{"", "/rport-", "fc"},
		{"", "/session", "iscsi"},
		{"", "/ata", "sata"},
		{"", "/VMBUS:", "hyper-v"},
		{"", "/vmbus_", "hyper-v"},
		{"sd", "", "scsi"},
	} {
		if strings.HasPrefix(name, t.name) && strings.Contains(path, t.path) {
			return t.is
		}
	}
	return ""
}
