package hardware

import (
	"slices"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// firmware reads what the firmware says of the machine: by DMI, or by a device tree. Not every user may read the numbers
// that are the machine's alone.
func (s *survey) firmware() {
	dmi := map[string]string{}
	for fact, file := range map[string]string{
		"vendor": "sys_vendor", "product": "product_name", "family": "product_family", "version": "product_version", "sku": "product_sku",
		"serial": "product_serial", "uuid": "product_uuid", "asset_tag": "chassis_asset_tag", "chassis": "chassis_type",
		"board_vendor": "board_vendor", "board": "board_name", "board_version": "board_version", "board_serial": "board_serial",
		"bios_vendor": "bios_vendor", "bios_version": "bios_version", "bios_date": "bios_date",
	} {
		if value := told(s.Try(s.Sys, "class/dmi/id/"+file)); value != "" {
			dmi[fact] = value
		}
	}
	if len(dmi) > 0 {
		s.facts["dmi"] = dmi
	}
	if model := machine.Clean(s.Try(s.Sys, "firmware/devicetree/base/model")); model != "" {
		s.facts["board_model"] = model
	}
	if s.Sys.Has("firmware/efi") {
		s.facts["boot"] = "efi"
	}
}

// told returns value unless it is what makers write who had nothing to say.
func told(value string) string {
	nothing := []string{"", "none", "n/a", "not specified", "not applicable", "not available", "default string", "to be filled by o.e.m.",
		"system manufacturer", "system product name", "system version", "system serial number", "o.e.m.", "unknown", "0123456789", "123456789", "........."}
	if slices.Contains(nothing, strings.ToLower(value)) || strings.Trim(value, "0-.x ") == "" {
		return ""
	}
	return value
}
