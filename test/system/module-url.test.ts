import { expect, test } from 'vitest'
import { moduleBeside } from '../../src/system/module-url.ts'

test.each([
  ['file:///a/src/unpack/pool.ts', 'file:///a/src/unpack/worker.ts'],
  ['file:///a/dist/unpack/pool.js', 'file:///a/dist/unpack/worker.js'],
  ['file:///a.ts/dist/unpack/pool.js', 'file:///a.ts/dist/unpack/worker.js'],
])('beside %s', (caller, worker) => {
  expect(moduleBeside(caller, './worker.ts').href).toBe(worker)
})
