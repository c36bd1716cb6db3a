/**
 * Shell text: makes the running system the one that the firmware starts.
 *
 * 1. BIOS: the 440 bytes of boot code of sector 0 become the system's own, in one direct write of
 *    the sector; the partition table in it stays as it is on the disk now. Only on a disk whose
 *    table id is the one that was written; read back past the cache.
 * 2. UEFI: BootOrder = target, rescue, the rest as it was; one write, read back. Both entries are
 *    found by what they start, whatever their numbers are now; the target's started this system.
 * 3. `boot_is_ours` says whether that is done already; every step may be repeated.
 *
 * Only what dash and busybox ash both have (busybox's blkid has no -p, so the table id is read
 * by hand). Not promised: disks with 4,096-byte sectors under BIOS, which none starts from.
 */
export const AGENT_BOOT = `
hex() {
  od -An -v -tx1 | tr -d ' \\n'
}

# root_disk: the disk that holds the root, such as /dev/vda.
root_disk() {
  number='' source=''
  while read -r _ _ at _ place rest; do
    [ "$place" = / ] && number=$at && source=\${rest#* - } && source=\${source#* }
  done </proc/self/mountinfo
  device=/sys/dev/block/$number
  # btrfs has a number of its own.
  [ -e "$device" ] || device=/sys/class/block/$(basename "$(readlink -f "\${source%% *}")")
  device=$(readlink -f "$device") || return 1
  [ -e "$device/partition" ] && device=\${device%/*}
  [ -b "/dev/\${device##*/}" ] && printf '/dev/%s\\n' "\${device##*/}"
}

# read_sector DISK NUMBER: 512 bytes, from the disk itself.
read_sector() {
  dd if="$1" bs=512 skip="$2" count=1 iflag=direct 2>/dev/null
}

# Of GPT the disk GUID (mixed endian), of MBR the disk identifier; as blkid writes them.
table_id() {
  head_hex=$(read_sector "$1" 1 | hex)
  case $head_hex in
    # "EFI PART"
    4546492050415254*) read_sector "$1" 1 | tail -c +57 | head -c 16 | hex | sed "$GUID_ORDER" ;;
    *) read_sector "$1" 0 | tail -c +441 | head -c 4 | hex |
      sed 's/\\(..\\)\\(..\\)\\(..\\)\\(..\\)/\\4\\3\\2\\1/' ;;
  esac
}
B='\\(..\\)'
GUID_ORDER="s/$B$B$B$B$B$B$B$B\\(....\\)/\\4\\3\\2\\1-\\6\\5-\\8\\7-\\9-/"

own_disk() {
  disk=\${DISK:-$(root_disk)}
  if [ -z "$disk" ]; then
    fail "the disk of the root is not found"
    return 1
  fi
  id=$(table_id "$disk")
  if [ -z "$id" ] || [ "$id" != "$(printf '%s' "$TABLE_ID" | tr A-F a-f)" ]; then
    fail "$disk has the table id \${id:-none}, not $TABLE_ID: boot code not written"
    return 1
  fi
}

bios_is_ours() {
  own_disk || return 1
  [ "$(read_sector "$disk" 0 | head -c 440 | hex)" = "$(head -c 440 "$SECTOR0" | hex)" ]
}

bios_confirm() {
  own_disk || return 1
  if [ "$(wc -c <"$SECTOR0")" -ne 512 ]; then
    fail "$SECTOR0 does not have 512 bytes"
    return 1
  fi
  { head -c 440 "$SECTOR0"; read_sector "$disk" 0 | tail -c +441; } >"$RUN/sector0"
  if [ "$(wc -c <"$RUN/sector0")" -ne 512 ]; then
    fail "sector 0 of $disk cannot be read"
    return 1
  fi
  dd if="$RUN/sector0" of="$disk" bs=512 count=1 oflag=direct conv=notrunc,fsync 2>/dev/null
  if [ "$(read_sector "$disk" 0 | hex)" != "$(hex <"$RUN/sector0")" ]; then
    fail "sector 0 of $disk reads back otherwise than it was written"
    return 1
  fi
}

EFI_GUID=8be4df61-93ca-11d2-aa0d-00e098032b8c

# The numbers of BootOrder or BootCurrent, such as "0003 0000 ".
numbers_of() {
  hex 2>/dev/null <"$EFIVARS/$1-$EFI_GUID" | cut -c 9- | tr a-f A-F |
    sed 's/\\(..\\)\\(..\\)/\\2\\1 /g'
}

boot_order() {
  numbers_of BootOrder
}

# starts NUMBER OPTION: whether the entry is active, and starts that file of that partition.
starts() {
  variable=$EFIVARS/Boot$1-$EFI_GUID
  [ -e "$variable" ] || return 1
  # shellcheck disable=SC2254 # It is a pattern.
  case "$(hex <"$variable")" in
    $2) return 0 ;;
    *) return 1 ;;
  esac
}

# find_entry OPTION: its number; the first in the order, else the lowest. Some firmware numbers
# its entries anew at each start.
find_entry() {
  for number in $(boot_order) "$EFIVARS"/Boot[0-9A-F][0-9A-F][0-9A-F][0-9A-F]-$EFI_GUID; do
    number=\${number##*/Boot}
    number=\${number%%-*}
    starts "$number" "$1" && printf '%s\\n' "$number" && return 0
  done
  return 1
}

# Whole or nothing: a firmware variable is one write.
write_boot_order() {
  {
    # Non-volatile, boot service, runtime: UEFI 2.10, 8.2.
    printf '\\007\\000\\000\\000'
    for entry in $1; do
      # shellcheck disable=SC2059 # The octal digits are the format.
      printf "$(printf '\\\\%03o\\\\%03o' "0x\${entry#??}" "0x\${entry%??}")"
    done
  } >"$RUN/boot-order"
  chattr -i "$EFIVARS/BootOrder-$EFI_GUID" 2>/dev/null
  cat "$RUN/boot-order" >"$EFIVARS/BootOrder-$EFI_GUID"
}

uefi_is_ours() {
  first=$(boot_order)
  starts "\${first%% *}" "$TARGET_OPTION"
}

# target_entry: the number of what started this system, which is its own entry. A firmware that
# does not say what it started is not asked.
target_entry() {
  if ! target=$(find_entry "$TARGET_OPTION"); then
    fail "the firmware has lost the boot entry of this system"
    return 1
  fi
  current=$(numbers_of BootCurrent)
  current=\${current%% *}
  [ -n "$current" ] || return 0
  if ! starts "$current" "$TARGET_OPTION"; then
    fail "the boot entry $current started this system, not its own, $target"
    return 1
  fi
  target=$current
}

uefi_confirm() {
  target_entry || return 1
  rescue=$(find_entry "$RESCUE_OPTION")
  order="$target \${rescue:+$rescue }"
  for entry in $(boot_order); do
    case $entry in
      "$target"|"$rescue") ;;
      *) order="$order$entry " ;;
    esac
  done
  [ "$(boot_order)" = "$order" ] || write_boot_order "$order" 2>/dev/null
  if [ "$(boot_order)" != "$order" ]; then
    fail "the firmware keeps the boot order $(boot_order)instead of $order"
    return 1
  fi
}

boot_is_ours() {
  "\${FIRMWARE}_is_ours"
}

confirm_boot() {
  "\${FIRMWARE}_confirm"
}
`
