/** A real file whose writes and reads go wrong when told. */
import { type FileHandle, open } from 'node:fs/promises'
import type { OpenFile, SmallFile } from '../../../src/flash/boot/one-write.ts'

export interface Faults {
  /** The write stops after so many bytes. */
  readonly writesAtMost?: number
  /** Reads give another first byte once something was written. */
  readonly readsDiffer?: boolean
  /** Errno of every write. */
  readonly writeError?: string
  /** Errno of every opening with these flags. */
  readonly openError?: { readonly errno: string; readonly flags: number }
}

const failing = (errno: string) => Object.assign(new Error(errno), { code: errno })

/** Opens with faults; `log` gets `write 0 1024`, `sync`, `read 0`. */
export function faultyOpen(faults: Faults, log: string[] = []): OpenFile {
  let written = false
  const wrap = (file: FileHandle): SmallFile => {
    const write = async (bytes: Uint8Array, offset: number, length: number, position: number) => {
      if (faults.writeError !== undefined) throw failing(faults.writeError)
      written = true
      log.push(`write ${position} ${length}`)
      return file.write(bytes, offset, Math.min(length, faults.writesAtMost ?? length), position)
    }
    const read = async (into: Uint8Array, offset: number, length: number, position: number) => {
      log.push(`read ${position}`)
      const result = await file.read(into, offset, length, position)
      if (faults.readsDiffer && written) into[offset] = (into[offset] ?? 0) ^ 1
      return result
    }
    const sync = async () => {
      log.push('sync')
      await file.sync()
    }
    return new Proxy(file, {
      get: (real, name) => {
        const replaced = { write, read, sync }[String(name)]
        if (replaced !== undefined) return replaced
        const value: unknown = Reflect.get(real, name)
        return typeof value === 'function' ? value.bind(real) : value
      },
    })
  }
  return async (path, flags) => {
    const { openError } = faults
    if (openError !== undefined && (flags & openError.flags) === openError.flags) {
      throw failing(openError.errno)
    }
    return wrap(await open(path, flags))
  }
}
