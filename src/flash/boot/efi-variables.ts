/**
 * Variables of the firmware, through efivarfs: files of 4 bytes of attributes and the data.
 *
 * 1. One write is the whole variable. Attributes are 7: non-volatile, boot service, runtime
 *    (UEFI 2.10, 8.2).
 * 2. Some variables are marked immutable against slips; `chattr -i` takes that off.
 * 3. What was written is read back and compared: firmware may drop it, or change it.
 * 4. Only variables of the global GUID: BootOrder, BootNext, Boot####.
 *
 * Not promised: that the firmware keeps it over a restart; the rehearsal and the trial show that.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../../errors.ts'
import { run } from '../../system/run.ts'

const EFIVARS = '/sys/firmware/efi/efivars'
const GLOBAL_GUID = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const ATTRIBUTES = Buffer.from([7, 0, 0, 0])

export interface EfiVariables {
  /** Names without the GUID. @throws OsflashError `io` */
  list(): Promise<readonly string[]>
  /** The data; undefined when there is no such variable. @throws OsflashError `io` */
  read(name: string): Promise<Uint8Array | undefined>
  /** @throws OsflashError `io`, `readback` */
  write(name: string, data: Uint8Array): Promise<void>
  /** It may be gone already. @throws OsflashError `io`, `readback` */
  remove(name: string): Promise<void>
}

/** @param folder where efivarfs is mounted */
export function efiVariables(folder: string = EFIVARS): EfiVariables {
  const pathOf = (name: string): string => join(folder, `${name}-${GLOBAL_GUID}`)
  const read = (name: string) => readVariable(pathOf(name))
  return {
    list: async () => {
      const files = await readdir(folder).catch((cause: unknown) => {
        throw ioError(`reading ${folder}`, cause)
      })
      const tail = `-${GLOBAL_GUID}`
      return files
        .filter((file) => file.toLowerCase().endsWith(tail))
        .map((file) => file.slice(0, -tail.length))
    },
    read,
    write: async (name, data) => {
      const old = await read(name)
      // NVRAM wears: what is there already is not written.
      if (isSame(old, data)) return
      await changing(pathOf(name), () => writeVariable(pathOf(name), data))
      if (!isSame(await read(name), data)) throw differs(name)
    },
    remove: async (name) => {
      if ((await read(name)) === undefined) return
      await changing(pathOf(name), () => unlink(pathOf(name)))
      if ((await read(name)) !== undefined) throw differs(name)
    },
  }
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && Buffer.compare(a, b) === 0

async function readVariable(path: string): Promise<Uint8Array | undefined> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return Buffer.alloc(0)
    throw ioError(`reading ${path}`, cause)
  })
  // A variable that could not be made leaves an empty file for a while.
  if (bytes.length < ATTRIBUTES.length) return undefined
  return Uint8Array.from(bytes.subarray(ATTRIBUTES.length))
}

/** Immutable files refuse with EPERM. */
async function changing(path: string, change: () => Promise<void>): Promise<void> {
  const failed = (cause: unknown) => {
    throw ioError(`changing the firmware's ${path}`, cause)
  }
  await change().catch(async (cause: unknown) => {
    if (errnoOf(cause) !== 'EPERM') return failed(cause)
    await run(['chattr', '-i', path])
    return change().catch(failed)
  })
}

async function writeVariable(path: string, data: Uint8Array): Promise<void> {
  const bytes = Buffer.concat([ATTRIBUTES, data])
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT, 0o644)
  try {
    const { bytesWritten } = await file.write(bytes, 0, bytes.length, null)
    if (bytesWritten !== bytes.length) {
      throw new OsflashError('io', `writing ${path}: ${bytesWritten} of ${bytes.length} bytes`)
    }
    await cutTail(file, bytes.length)
  } finally {
    await file.close()
  }
}

/** efivarfs does it itself; a plain folder does not. */
async function cutTail(file: FileHandle, bytes: number): Promise<void> {
  if ((await file.stat()).size > bytes) await file.truncate(bytes)
}

function differs(name: string): OsflashError {
  return new OsflashError('readback', `reading back ${name}: the firmware did not keep it`, {
    data: { variable: name },
    hints: ['free space in the firmware (efibootmgr lists entries), or reset it to its defaults'],
  })
}
