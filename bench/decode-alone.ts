/**
 * The decode ceiling: an image read, checked, opened and decompressed, and nothing written.
 *
 * 1. The engine of `osflash unpack` with a sink that drops what it gets.
 * 2. Prints seconds and processor seconds from the first frame to the last; threads are up before.
 *
 * Use: node bench/decode-alone.ts IMAGE IDENTITY WORKERS [TIMES]
 */
import { readFile } from 'node:fs/promises'
import { openFileSource } from '../src/deliver/file.ts'
import { readSecretKeys } from '../src/encrypt/keys.ts'
import { decryptSessionKey } from '../src/encrypt/session-key.ts'
import { startEngine } from '../src/unpack/engine.ts'
import { frameJobs } from '../src/unpack/frame-job.ts'
import { openImage } from '../src/unpack/image.ts'
import { loadPayloads } from '../src/unpack/payload.ts'

/** As deep as a target on a fast disk. */
const SINK_DEPTH = 8

const [path = '', identity = '', workers = '1', times = '1'] = process.argv.slice(2)
await using source = await openFileSource(path)
const image = await openImage(source, undefined)
const keys = await readSecretKeys({ bytes: await readFile(identity), place: identity })
const payloads = await loadPayloads(image)
await using engine = startEngine({
  source,
  payloads,
  aead: image.manifest.encryption.aead,
  sessionKey: await decryptSessionKey(image.keysBytes, keys),
  sinkDepth: SINK_DEPTH,
  workers: Number(workers),
})
const jobs = payloads.flatMap((payload, number) => [...frameJobs(payload, number)])
// The first frame of each thread waits for the thread and for the libraries that it loads.
await engine.run({ jobs: jobs.slice(0, 2 * engine.workers), sink: async () => undefined })
const startMs = performance.now()
const startUsage = process.cpuUsage()
for (let n = 0; n < Number(times); n += 1) await engine.run({ jobs, sink: async () => undefined })
const seconds = (performance.now() - startMs) / 1000
const { user, system } = process.cpuUsage(startUsage)
process.stdout.write(`${seconds} ${(user + system) / 1e6}\n`)
