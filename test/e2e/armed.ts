/**
 * A host that is staged and armed and switched off: made once, copied for many scenarios.
 *
 * 1. `apply --no-reboot` in the first OS, then the power button.
 * 2. The copy's next start is the rescue, with everything it needs on its stage.
 */
import { mkdir, readFile, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { cached, digestOf } from './cache.ts'
import { firstDisk } from './first-os.ts'
import { Host, type HostOptions, MACHINE_FILES } from './host.ts'
import { bundle, image, imageFileName } from './images.ts'
import { commandLine, type Options } from './operator.ts'
import { type Began, beginWith, bootFirstOs } from './takeover.ts'

export interface Armed {
  readonly firmware: HostOptions['firmware']
  /** Of the command line of `apply`. */
  readonly options?: Options
}

/** The folder that `HostOptions.from` takes. */
export async function armedMachine({ firmware, options = {} }: Armed): Promise<string> {
  const name = `armed-${firmware}-${digestOf(JSON.stringify(options)).slice(0, 4)}`
  const images = [await image('rescue'), await image('target-debian-13')].map(imageFileName)
  const made = [...images, basename(await firstDisk()), JSON.stringify(options)]
  const key = digestOf(await readFile(bundle), ...made)
  return await cached({ name, extension: 'd', key }, async (folder) => {
    // Not before: another process may be at work in the folder of that name.
    await using began = await beginWith({ name, firmware })
    await bootFirstOs(began)
    await armHost(began, options)
    await began.host.powerOff()
    await mkdir(folder)
    for (const file of MACHINE_FILES) {
      if (firmware === 'uefi' || file.endsWith('.img')) {
        await rename(join(began.host.folder, file), join(folder, file))
      }
    }
  })
}

/** Everything but the reboot. */
export async function armHost({ host, images }: Began, options: Options = {}): Promise<string> {
  return host.ssh(commandLine('apply', { yes: '', 'no-reboot': '' }, images, options))
}

/** An armed host, switched off. */
export async function armedHost(name: string, armed: Armed): Promise<Host> {
  return Host.make({ name, firmware: armed.firmware, from: await armedMachine(armed) })
}
