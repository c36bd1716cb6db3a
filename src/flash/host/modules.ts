/**
 * Which drivers a device needs, and whether another system has them.
 *
 * 1. `driversOf`: from the device's folder of sysfs up to the root of its bus: each driver on the
 *    way (disk, host adapter, virtio, PCI bridge), by the name of its module.
 * 2. A driver that is built into this kernel has no module here; its driver name stands for it.
 * 3. `missingModules`: what neither modules.builtin nor modules.dep of any kernel of a root holds.
 *    Names are compared as modprobe does: `-` and `_` are the same.
 *
 * Not promised: that a driver of the same name drives the same hardware in another kernel.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * The modules below a device, nearest first.
 * @param device path in sysfs, such as `/sys/class/block/sda` or `/sys/class/net/eth0`
 */
export async function driversOf(device: string): Promise<string[]> {
  const found = new Set<string>()
  for (const start of await physical(await realpath(device).catch(() => '/'))) {
    let folder = start
    while (folder.startsWith('/sys/devices/')) {
      const name = await driverName(folder)
      if (name !== undefined) found.add(name)
      folder = dirname(folder)
    }
  }
  return [...found]
}

/** An NVMe disk with several paths is a virtual device; its controllers stand beside it. */
async function physical(folder: string): Promise<string[]> {
  if (!folder.includes('/virtual/nvme-subsystem/')) return [folder]
  const names = await readdir(dirname(folder))
  const controllers = names.filter((name) => /^nvme\d+$/.test(name))
  return Promise.all(controllers.map((name) => realpath(join(dirname(folder), name))))
}

async function driverName(folder: string): Promise<string | undefined> {
  const driver = await realpath(join(folder, 'driver')).catch(() => undefined)
  if (driver === undefined) return undefined
  const module = await realpath(join(driver, 'module')).catch(() => undefined)
  if (module !== undefined) return plainName(basename(module))
  const name = plainName(basename(driver))
  return BUS_DRIVERS.has(name) ? undefined : (RENAMED[name] ?? name)
}

/** Drivers of buses: part of every kernel, so no modules anywhere. */
const BUS_DRIVERS: ReadonlySet<string> = new Set(['pcieport', 'usb', 'hub'])

/** Built-in drivers whose module has another name elsewhere. */
const RENAMED: Readonly<Record<string, string>> = {
  sd: 'sd_mod',
  vbd: 'xen_blkfront',
  vif: 'xen_netfront',
}

/**
 * Which of these modules no kernel of a root has.
 * @param root folder where the root of the other system is mounted
 */
export async function missingModules(root: string, modules: readonly string[]): Promise<string[]> {
  const known = await knownModules(root)
  return modules.filter((name) => !known.has(plainName(name)))
}

async function knownModules(root: string): Promise<ReadonlySet<string>> {
  const known = new Set<string>()
  for (const place of ['lib/modules', 'usr/lib/modules']) {
    const folder = join(root, place)
    // Where /lib is an absolute link it leads out of the root.
    const inside = await realpath(folder).catch(() => undefined)
    if (inside === undefined || !inside.startsWith(await realpath(root))) continue
    for (const kernel of await readdir(folder)) {
      for (const name of await namesOf(join(folder, kernel))) known.add(name)
    }
  }
  return known
}

async function namesOf(folder: string): Promise<string[]> {
  if (!(await stat(folder)).isDirectory()) return []
  const [builtin, dep] = await Promise.all(
    ['modules.builtin', 'modules.dep'].map((file) =>
      readFile(join(folder, file), 'utf8').catch(() => ''),
    ),
  )
  return `${builtin}\n${dep}`.split('\n').flatMap((line) => {
    const path = line.split(':')[0]?.trim() ?? ''
    return path === '' ? [] : [plainName(basename(path).replace(/\.ko(\.\w+)?$/, ''))]
  })
}

const plainName = (name: string): string => name.replaceAll('-', '_')
