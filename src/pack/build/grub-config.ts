/**
 * The texts that GRUB reads.
 *
 * 1. The early one is inside the core image: it finds the root by UUID, on whatever disk it is.
 * 2. grub.cfg is the same under both firmwares; the newest kernel comes first and is the default.
 *    Like that of grub-mkconfig it starts `next_entry` of grubenv once, and reads custom.cfg.
 * 3. Where the new system has grub-mkconfig, /etc/default/grub.d makes later kernels start with
 *    the same command line.
 *
 * Pure. Not promised: menus for other systems on the disk.
 */

/** A kernel below /boot of the new system. */
export interface Kernel {
  readonly version: string
  /** Absolute paths in the new system. */
  readonly kernel: string
  readonly initrd: string | undefined
}

/** The kernels among the names in /boot, newest first. */
export function kernelsOf(names: readonly string[]): readonly Kernel[] {
  const known = new Set(names)
  return names
    .filter((name) => /^vmlinu[xz]-/.test(name))
    .map((name) => {
      const version = name.replace(/^vmlinu[xz]-/, '')
      const initrd = [`initrd.img-${version}`, `initramfs-${version}.img`, `initrd-${version}`]
      const found = initrd.find((candidate) => known.has(candidate))
      return {
        version,
        kernel: `/boot/${name}`,
        initrd: found === undefined ? undefined : `/boot/${found}`,
      }
    })
    .toSorted((a, b) => compareVersions(b.version, a.version))
}

/** Runs of digits as numbers, the rest as text. */
function compareVersions(a: string, b: string): number {
  return new Intl.Collator('en', { numeric: true }).compare(a, b)
}

export function earlyConfig(rootUuid: string): string {
  return `search --no-floppy --fs-uuid --set=root ${rootUuid}\nset prefix=($root)/boot/grub\n`
}

export interface MenuInput {
  readonly title: string
  readonly rootUuid: string
  readonly commandLine: string
  readonly kernels: readonly Kernel[]
}

export function grubConfig({ title, rootUuid, commandLine, kernels }: MenuInput): string {
  const entries = kernels.map(
    ({ version, kernel, initrd }) => `
menuentry '${title.replaceAll("'", '')}, Linux ${version}' {
  search --no-floppy --fs-uuid --set=root ${rootUuid}
  linux ${kernel} ${commandLine}${initrd === undefined ? '' : `\n  initrd ${initrd}`}
}
`,
  )
  return `${MENU_HEAD}${entries.join('')}${MENU_END}`
}

/** A machine without a serial port has no `serial` terminal; it keeps its screen alone. */
const MENU_HEAD = `if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "\${next_entry}" ]; then
  set default="\${next_entry}"
  set next_entry=
  save_env next_entry
else
  set default=0
fi
set timeout=1
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
`

const MENU_END = `
if [ -f \${config_directory}/custom.cfg ]; then
  source \${config_directory}/custom.cfg
elif [ -z "\${config_directory}" -a -f $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`

/** Settings for grub-mkconfig in the new system. */
export function grubDefaults(extraCommandLine: string): string {
  return `GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="${extraCommandLine.replaceAll(/["\\$`]/g, '\\$&')}"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_OS_PROBER=true
`
}
