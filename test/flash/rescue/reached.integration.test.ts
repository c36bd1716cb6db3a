/** Whether anybody could log in: in network namespaces, with and without a gateway. */
import { expect, it } from 'vitest'
import { asRoot, inNamespace, makeCable, NIC } from '../carry/network-namespace.ts'

it.skipIf(!asRoot)('needs root: only a default gateway that answers counts', async () => {
  await using cable = await makeCable()
  const asked = () => inNamespace(cable.host, 'any-gateway')
  expect(await asked()).toBe(false)
  await cable.onHost(`addr add 192.0.2.10/24 dev ${NIC}`)
  await cable.onRouter('addr add 192.0.2.9/24 dev lan')
  expect(await asked()).toBe(false)
  await cable.onHost('route add default via 192.0.2.1')
  expect(await asked()).toBe(false)
  await cable.onRouter('addr add 192.0.2.1/24 dev lan')
  expect(await asked()).toBe(true)
})
