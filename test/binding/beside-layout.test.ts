// Bound domains beside the layout of the same bucket: what is reached through one waits for it, and what one would
// show to everybody is not written.
import t from 'tap'
import { bucket, daysFromNow, keepSecret, prefix, provesLayout, region, stepError } from '../deploy-world.js'
import {
  type BindingWorld,
  mint,
  only,
  openBinding,
  pair,
  proveNoKeyLeaks,
  sha256Of,
  stepsOf,
} from './binding-world.js'
import { products } from './edge-products.js'

const host = 'static.localhost'
const material = await mint({ names: [host, 'www.example.com'] })
const older = await mint({ names: [host, 'www.example.com'], notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })

const isKey = (key: string): boolean => key.endsWith('privkey.pem')
const keysIn = ({ objects }: BindingWorld): string[] => [...objects.keys()].filter(isKey)

t.test('an endpoint that this run binds', async (t) => {
  const world = await openBinding(t, { bucket: { publicEndpointForbidden: true } })
  const { emulator } = world
  const words = [
    ...['--bucket', bucket, '--region', region, '--prefix', prefix, '--oss-cname', host],
    ...['--endpoint', `http://${host}:${emulator.port}`, '--cname-endpoint', '--bucket-endpoint', emulator.url],
  ]
  const first = await world.give(t, material, [...words, '--timeout', '2'], { code: 1 })
  const error = first.result.stages.find(({ target }) => target.startsWith('oss-cname'))?.steps[0]?.error
  const [, name = '', value = ''] = /DNS record (\S+) of type TXT with the value (\S+)/.exec(error?.hint ?? '') ?? []
  t.equal(world.objects.size, 0)
  emulator.publishTxt(name, value)

  const from = emulator.requests.length
  await world.syncNow(t)
  t.equal(emulator.cname(host)?.certificate?.sha256, sha256Of(material))
  provesLayout(t, world.objects, material)
  const requests = emulator.requests.slice(from)
  const bound = requests.findIndex(({ action }) => action === 'oss:PutCname')
  const written = requests.findIndex(({ action }) => action === 'oss:PutObject')
  t.ok(bound >= 0 && bound < written, 'the layout waits for the domain')
  t.ok(requests.filter(({ key }) => key !== undefined).every((request) => request.host === `${host}:${emulator.port}`))

  const again = await world.give(t, material, words)
  t.ok(again.result.stages.every(({ status }) => status === 'unchanged'))
})

t.test('a domain bound already does not keep the layout waiting when it cannot be bound again', async (t) => {
  const world = await openBinding(t, { key: { deny: [{ action: 'oss:PutCname', resource: '*' }] } })
  const { emulator } = world
  emulator.bindCname(host, bucket, { certificate: pair(older) })
  const words = [
    ...['--bucket', bucket, '--region', region, '--prefix', prefix, '--oss-cname', host],
    ...['--endpoint', `http://${host}:${emulator.port}`, '--cname-endpoint', '--bucket-endpoint', emulator.url],
  ]
  const { result } = await world.give(t, material, words, { code: 3 })
  t.match(stepError(result), { vendor: { code: 'AccessDenied' } })
  provesLayout(t, world.objects, material)
})

t.test('the key has no access rule of its own, and a domain of the run shows the bucket', async (t) => {
  const withoutAcl = { key: { deny: [{ action: 'oss:PutObjectAcl', resource: '*' }] } }

  t.test('bound to it', async (t) => {
    const world = await openBinding(t, withoutAcl)
    world.emulator.bindCname('www.example.com', bucket)
    const words = [...world.toBucket, '--oss-cname', 'www.example.com']
    const { result } = await world.give(t, material, words, { code: 3 })
    t.match(stepError(result), { code: 'KEY_WOULD_BE_PUBLIC' })
    t.same(keysIn(world), [])
    t.equal(world.emulator.cname('www.example.com')?.certificate?.sha256, sha256Of(material), 'the domain has it')
    await world.give(t, material, [...words, '--allow-public-bucket'])
    t.equal(keysIn(world).length, 2)
  })

  for (const product of products) {
    t.test(`fetched from it by ${product.name.toUpperCase()}`, async (t) => {
      const world = await openBinding(t, withoutAcl)
      product.add(world.emulator, 'www.example.com', { certificate: pair(older), origin: bucket })
      const words = [...world.toBucket, product.flag, 'www.example.com', ...world.toEdges]
      const { result } = await world.give(t, material, words, { code: 3 })
      t.match(stepError(result), { code: 'KEY_WOULD_BE_PUBLIC' })
      t.same(keysIn(world), [])
      t.equal(product.store(world.emulator).domain('www.example.com')?.certificate?.sha256, sha256Of(material))

      const elsewhere = await openBinding(t, withoutAcl)
      elsewhere.emulator.addBucket('my-ssl-certs-2', {})
      product.add(elsewhere.emulator, 'www.example.com', { certificate: pair(older), origin: 'my-ssl-certs-2' })
      const other = [...elsewhere.toBucket, product.flag, 'www.example.com', ...elsewhere.toEdges]
      await elsewhere.give(t, material, other)
      t.equal(keysIn(elsewhere).length, 2, 'another bucket is none of its business')
    })
  }
})

t.test('all of it at once', async (t) => {
  const token = keepSecret(`CAIS${'x1'.repeat(40)}`)
  const world = await openBinding(t, { key: { token } })
  const { emulator } = world
  emulator.bindCname('www.example.com', bucket)
  emulator.addCdnDomain('www.example.com', { certificate: pair(older) })
  emulator.addDcdnDomain('www.example.com', { certificate: pair(older) })
  const words = [
    ...[...world.toBucket, '--oss-cname', 'auto', '--cdn-domain', 'auto', '--dcdn-domain', 'auto', ...world.toEdges],
    ...['--via-cas', '--cas-prune', '--directory', world.path('here')],
  ]
  const { result, requests } = await world.give(t, material, words)
  t.equal(result.stages.length, 6)
  t.same(
    stepsOf(result).filter((step) => step.startsWith('bind')),
    Array(3).fill('bind www.example.com changed'),
  )
  t.match(result.warnings, only())
  for (const bound of [
    emulator.cname,
    (one: string) => emulator.cdn.domain(one),
    (one: string) => emulator.dcdn.domain(one),
  ])
    t.equal(bound('www.example.com')?.certificate?.sha256, sha256Of(material))
  t.ok(
    requests.every(({ headers }) => [headers['x-oss-security-token'], headers['x-acs-security-token']].includes(token)),
    'the session is named in every request',
  )
  const again = await world.give(t, material, words)
  t.ok(again.result.stages.every(({ status }) => status === 'unchanged'))
})

await proveNoKeyLeaks(t)
