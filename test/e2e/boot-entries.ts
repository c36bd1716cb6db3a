/**
 * What the firmware will start, read from its variables in whatever system runs.
 *
 * EFI_LOAD_OPTION (UEFI 2.10, 3.1.3), behind the four bytes of attributes that efivarfs puts
 * first: BYTES 0 attributes, 4 length of the device path, 6 description in UCS-2, NUL.
 */
import type { Host } from './host.ts'

const EFIVARFS_HEAD_BYTES = 4
const DESCRIPTION_AT = EFIVARFS_HEAD_BYTES + 6

/** Descriptions of the boot entries in the order of BootOrder; empty under BIOS. */
export async function bootOrder(host: Host): Promise<readonly string[]> {
  const variables = await readBootVariables(host)
  const order = variables.get('BootOrder')?.subarray(EFIVARFS_HEAD_BYTES) ?? Buffer.alloc(0)
  return Array.from({ length: order.length / 2 }, (_, place) => {
    const number = order
      .readUInt16LE(place * 2)
      .toString(16)
      .toUpperCase()
      .padStart(4, '0')
    return descriptionOf(variables.get(`Boot${number}`))
  })
}

/** Descriptions of all boot entries, in BootOrder or not. */
export async function bootEntries(host: Host): Promise<readonly string[]> {
  const variables = await readBootVariables(host)
  return [...variables]
    .filter(([name]) => /^Boot\d/i.test(name))
    .map(([, value]) => descriptionOf(value))
}

async function readBootVariables(host: Host): Promise<ReadonlyMap<string, Buffer>> {
  const printed = await host.ssh(`cd /sys/firmware/efi/efivars 2>/dev/null || exit 0
    for name in Boot[0-9O]*; do echo "$name $(base64 -w0 "$name")"; done`)
  const variables = new Map<string, Buffer>()
  for (const line of printed.trim().split('\n')) {
    const [name = '', value = ''] = line.split(' ')
    variables.set(name.split('-')[0] ?? '', Buffer.from(value, 'base64'))
  }
  return variables
}

function descriptionOf(variable: Buffer | undefined): string {
  if (variable === undefined) return '(missing)'
  const text = variable.subarray(DESCRIPTION_AT).toString('utf16le')
  return text.slice(0, text.indexOf('\0'))
}
