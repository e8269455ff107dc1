// A certificate that goes to the certificate service once, and is bound everywhere by its id.
import t from 'tap'
import { bucket, daysFromNow, everything, root, stepError } from '../deploy-world.js'
import {
  type BindingWorld,
  countOf,
  formOf,
  mint,
  only,
  openBinding,
  pair,
  proveNoKeyLeaks,
  readPut,
  sha256Of,
  stepsOf,
} from './binding-world.js'

const host = 'static.example.com'
const names = ['example.com', '*.example.com']
const older = await mint({ names, notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })
const material = await mint({ names })

const upload = 'yundun-cert:UploadUserCertificate'
const detail = 'yundun-cert:GetUserCertificateDetail'
const listing = 'yundun-cert:ListUserCertificateOrder'
const remove = 'yundun-cert:DeleteUserCertificate'
const setCdn = 'cdn:SetCdnDomainSSLCertificate'
const setDcdn = 'dcdn:SetDcdnDomainSSLCertificate'

const everywhere = (world: BindingWorld, ...more: readonly string[]): string[] => [
  '--via-cas',
  '--cdn-domain',
  'cdn.example.com',
  '--dcdn-domain',
  'dcdn.example.com',
  '--oss-cname',
  `${bucket}/${host}`,
  ...world.toBuckets,
  ...world.toEdges,
  ...more,
]

const openPlaces: typeof openBinding = async (t, options) => {
  // In this process: one upload for all, and what a person sees of it, are shown as they are published.
  const world = await openBinding(t, { here: true, ...options })
  const { emulator } = world
  emulator.addCdnDomain('cdn.example.com', { certificate: pair(older) })
  emulator.addDcdnDomain('dcdn.example.com', { certificate: pair(older) })
  emulator.bindCname(host, bucket, { certificate: pair(older) })
  return world
}

const shownBy = ({ emulator }: BindingWorld) => [
  emulator.cdn.domain('cdn.example.com')?.certificate?.sha256,
  emulator.dcdn.domain('dcdn.example.com')?.certificate?.sha256,
  emulator.cname(host)?.certificate?.sha256,
]

const ours = ({ emulator }: BindingWorld, sha256 = sha256Of(material)) =>
  emulator.cas.certificates.filter((one) => one.sha256 === sha256)

const sha1 = material.x509.fingerprint.replaceAll(':', '').toLowerCase()
const everyRequest: BindingWorld[] = []

for (const region of ['cn-hangzhou', 'ap-southeast-1']) {
  t.test(`one upload for all, in ${region}`, async (t) => {
    const world = await openBinding(t)
    everyRequest.push(world)
    const { emulator } = world
    emulator.addCdnDomain('cdn.example.com', { certificate: pair(older) })
    emulator.addDcdnDomain('dcdn.example.com', { certificate: pair(older) })
    emulator.bindCname(host, bucket)
    emulator.cas.region = region
    const { result, requests } = await world.give(t, material, everywhere(world))
    t.ok(result.stages.every(({ status }) => status === 'changed' || status === 'unchanged'))
    t.same(shownBy(world), Array(3).fill(sha256Of(material)))
    t.equal(countOf(requests, upload), 1, 'the key travels once')
    const [stored, ...others] = ours(world)
    t.same(others, [])
    t.match(stored, { name: `acme-oss-${sha1}`, identifier: `${stored?.id}-${region}` })
    t.match(stored?.name, /^[A-Za-z0-9_-]{1,64}$/)
    t.match(formOf(world.asked(upload)[0])['Key'], /BEGIN EC PRIVATE KEY/)

    for (const action of [setCdn, setDcdn]) {
      const form = formOf(world.asked(action)[0])
      t.match(form, {
        CertType: 'cas',
        CertId: String(stored?.id),
        CertRegion: region,
        CertName: `acme-oss-${sha1}`,
        SSLProtocol: 'on',
      })
      // An empty one would be refused as missing.
      t.notOk('SSLPub' in form || 'SSLPri' in form, `${action}: neither certificate nor key`)
    }
    t.match(
      world.asked('oss:PutCname').map(readPut),
      only({ CertId: stored?.identifier, Certificate: undefined, PrivateKey: undefined }),
    )

    const again = await world.give(t, material, everywhere(world))
    t.ok(again.result.stages.every(({ status }) => status === 'unchanged'))
    t.equal(countOf(again.requests, upload), 0, 'it finds its own')
    for (const action of [setCdn, setDcdn, 'oss:PutCname']) t.equal(countOf(again.requests, action), 0)
    t.equal(ours(world).length, 1)
  })
}

t.test('somebody has uploaded it under another name', async (t) => {
  const world = await openPlaces(t)
  everyRequest.push(world)
  const theirs = world.emulator.cas.add({ ...pair(material), name: 'wildcard-2026' })
  // It does not stand on the first page.
  for (let i = 0; i < 60; i++) world.emulator.cas.add(pair(older))
  world.emulator.cas.add({ ...pair(material), id: theirs.id, name: theirs.name })
  const { requests } = await world.give(t, material, everywhere(world))
  t.equal(countOf(requests, upload), 0)
  t.equal(ours(world).length, 1)
  for (const action of [setCdn, setDcdn]) t.equal(formOf(world.asked(action)[0])['CertId'], String(theirs.id))
  t.same(shownBy(world), Array(3).fill(sha256Of(material)))
})

t.test('somebody has uploaded the leaf alone', async (t) => {
  for (const told of [true, false]) {
    const world = await openPlaces(t)
    everyRequest.push(world)
    const { cas } = world.emulator
    if (!told) cas.leavesOut.add('CertChain')
    const theirs = cas.add({ ...pair(material), fullchain: material.leaf, name: 'by-hand' })
    const { requests } = await world.give(t, material, everywhere(world))
    t.equal(countOf(requests, upload), 1, 'it is put there with its chain')
    const [, own, ...others] = ours(world)
    t.same(others, [])
    t.match(own, { name: `acme-oss-${sha1}`, fullchain: material.fullchain })
    for (const action of [setCdn, setDcdn]) t.equal(formOf(world.asked(action)[0])['CertId'], String(own?.id))
    t.equal(world.emulator.cname(host)?.certificate?.certId, own?.identifier)
    const again = await world.give(t, material, everywhere(world))
    t.ok(again.result.stages.every(({ status }) => status === 'unchanged'))
    t.equal(countOf(again.requests, upload), 0)
    t.equal(countOf(again.requests, detail), 1, 'theirs is not looked at where there is one of ours')
    t.ok(cas.find(theirs.id), 'theirs stays as it is')
  }
})

t.test('one of another name, with a chain that the service does not tell', async (t) => {
  const world = await openPlaces(t)
  everyRequest.push(world)
  world.emulator.cas.leavesOut.add('CertChain')
  world.emulator.cas.add({ ...pair(material), name: 'wildcard-2026' })
  await world.give(t, material, everywhere(world))
  t.match(
    ours(world).map(({ name }) => name),
    only('wildcard-2026', `acme-oss-${sha1}`),
  )
})

t.test('ours has no chain: the leaf alone will do, told or not', async (t) => {
  const direct = await mint({ names, issuer: root })
  for (const told of [true, false]) {
    const world = await openPlaces(t)
    everyRequest.push(world)
    if (!told) world.emulator.cas.leavesOut.add('CertChain')
    const theirs = world.emulator.cas.add({ ...pair(direct), fullchain: direct.leaf, name: 'by-hand' })
    const { requests } = await world.give(t, direct, everywhere(world))
    t.equal(countOf(requests, upload), 0)
    t.equal(formOf(world.asked(setCdn)[0])['CertId'], String(theirs.id))
  }
})

t.test('a service that says little of what it has', async (t) => {
  for (const missing of [['Fingerprint'], ['Sha2'], ['Fingerprint', 'Sha2'], ['TotalCount']]) {
    const world = await openPlaces(t)
    everyRequest.push(world)
    const { cas } = world.emulator
    // It does not stand on the first page.
    for (let i = 0; i < 60; i++) cas.add(pair(older))
    for (const name of missing) cas.leavesOut.add(name)
    cas.add({ ...pair(material), name: `acme-oss-${sha1}` })
    const { requests } = await world.give(t, material, everywhere(world))
    t.equal(countOf(requests, upload), 0, `it is found without ${missing}`)
    t.same(shownBy(world), Array(3).fill(sha256Of(material)))
  }
})

t.test('pages of a list without a count', async (t) => {
  for (const [count, pages] of [
    [49, 1],
    [50, 2],
    [100, 3],
  ] as const) {
    const world = await openBinding(t)
    everyRequest.push(world)
    const { cas } = world.emulator
    cas.leavesOut.add('TotalCount')
    world.emulator.addCdnDomain('cdn.example.com', { certificate: pair(older) })
    while (cas.certificates.length < count) cas.add(pair(older))
    const { requests } = await world.give(t, material, [
      '--via-cas',
      '--cdn-domain',
      'cdn.example.com',
      ...world.toEdges,
    ])
    t.equal(countOf(requests, listing), pages, `${count} certificates`)
    t.equal(ours(world).length, 1)
  }
})

t.test('the answer to the upload is lost', async (t) => {
  const world = await openPlaces(t)
  everyRequest.push(world)
  const fault = world.emulator.fail({ action: upload, nth: 1 }, { reset: 'after' })
  await world.give(t, material, everywhere(world))
  t.equal(fault.hits, 1)
  t.equal(ours(world).length, 1, 'it is found, and not uploaded twice')
  t.same(shownBy(world), Array(3).fill(sha256Of(material)))
})

t.test('another certificate has its name', async (t) => {
  const world = await openPlaces(t)
  everyRequest.push(world)
  world.emulator.cas.add({ ...pair(older), name: `acme-oss-${sha1}` })
  const { result } = await world.give(t, material, everywhere(world), { code: 1 })
  for (const { steps } of result.stages)
    t.match(steps[0]?.error, { code: 'CLOUD_REFUSED', vendor: { code: 'NameRepeat' }, message: /uploading acme-oss-/ })
  t.equal(ours(world).length, 0)
})

t.test('the service refuses: nothing is bound, all is still wanted', async (t) => {
  for (const action of [upload, listing, detail]) {
    const world = await openPlaces(t, { key: { deny: [{ action, resource: '*' }] } })
    everyRequest.push(world)
    const { result } = await world.give(t, material, everywhere(world), { code: 1 })
    t.equal(result.pending.length, 4, action)
    for (const { steps } of result.stages)
      t.match(steps[0]?.error, { vendor: { code: 'Forbidden.RAM' }, hint: new RegExp(`${action} on \\*`) })
    t.same(shownBy(world), Array(3).fill(sha256Of(older)))
    world.emulator.addKey({ ...world.key, allow: everything, deny: [] })
    await world.syncNow(t)
    t.same(shownBy(world), Array(3).fill(sha256Of(material)))
    t.equal(ours(world).length, 1, 'one upload, whatever came before')
  }
})

t.test('the quota is used up', async (t) => {
  const world = await openPlaces(t)
  everyRequest.push(world)
  world.emulator.cas.quota = world.emulator.cas.certificates.length
  const { result } = await world.give(t, material, everywhere(world), { code: 1 })
  t.match(result.stages[0]?.steps[0]?.error, { vendor: { code: 'QuotaExceeded' } })
})

t.test('a domain of another region of certificates', async (t) => {
  const world = await openPlaces(t)
  everyRequest.push(world)
  world.emulator.fail({ action: 'oss:PutCname' }, { status: 400, code: 'CertificateInvalidCasId' })
  const { result } = await world.give(t, material, everywhere(world), { code: 3 })
  t.match(stepError(result), {
    vendor: { code: 'CertificateInvalidCasId' },
    hint: /--cas-endpoint https:\/\/cas\.ap-southeast-1\.aliyuncs\.com/,
  })
  t.match(result.pending, only({ target: `oss-cname ${bucket}/${host}` }))
})

t.test('auto: one upload however many domains there are', async (t) => {
  const world = await openBinding(t)
  everyRequest.push(world)
  const all = Array.from({ length: 12 }, (_, i) => `n${i}.example.com`)
  for (const one of all) world.emulator.addCdnDomain(one, { certificate: pair(older) })
  const { requests } = await world.give(t, material, ['--via-cas', '--cdn-domain', 'auto', ...world.toEdges])
  t.equal(countOf(requests, upload), 1)
  t.equal(countOf(requests, detail), 1)
  for (const one of all) t.equal(world.emulator.cdn.domain(one)?.certificate?.sha256, sha256Of(material))
})

t.test('--cas-prune', async (t) => {
  const past = { notBefore: daysFromNow(-200), notAfter: daysFromNow(-100) }
  const gone = await mint({ names, ...past })

  t.test('deletes what is ours and has expired, and nothing else', async (t) => {
    const world = await openPlaces(t)
    everyRequest.push(world)
    const { cas } = world.emulator
    // More than one page of expired ones, ours at both ends.
    const called = (i: number): string => (i < 3 || i > 49 ? `acme-oss-${i}` : `cert-${i}`)
    const kept: string[] = []
    for (let i = 0; i < 53; i++) {
      const { name } = cas.add({ ...pair(gone), name: called(i) })
      if (!name.startsWith('acme-oss-')) kept.push(name)
    }
    for (const name of ['acme-oss-still-valid', 'my-acme-oss-1']) kept.push(cas.add({ ...pair(older), name }).name)
    kept.push(cas.add({ ...pair(gone), name: 'not-acme-oss-2' }).name)
    const bound = world.emulator.cname(host)?.certificate?.certId
    const { result } = await world.give(t, material, everywhere(world, '--cas-prune'))
    const names = cas.certificates.filter(({ identifier }) => identifier !== bound).map(({ name }) => name)
    t.same(names.sort(), [...kept, `acme-oss-${sha1}`].sort())
    t.same(stepsOf(result, 'cas'), ['prune changed', 'upload changed'])
    t.match(result.stages.find(({ target }) => target === 'cas')?.steps[1]?.note, 'deleted 6')
    const again = await world.give(t, material, everywhere(world, '--cas-prune'))
    t.same(stepsOf(again.result, 'cas'), ['prune unchanged', 'upload unchanged'])
    t.equal(countOf(again.requests, remove), 0)
  })

  t.test('a refusal to delete is a warning', async (t) => {
    const world = await openPlaces(t, { key: { deny: [{ action: remove, resource: '*' }] } })
    everyRequest.push(world)
    const { cas } = world.emulator
    for (const name of ['acme-oss-1', 'acme-oss-2']) cas.add({ ...pair(gone), name })
    const { result } = await world.give(t, material, everywhere(world, '--cas-prune'))
    t.same(result.warnings.length, 2)
    t.match(
      result.warnings,
      only(/^acme-oss-1 stays in the certificate service: .*Forbidden\.RAM/, /^acme-oss-2 stays/),
    )
    t.same(result.pending, [])
  })

  t.test('without anything that is bound', async (t) => {
    const world = await openBinding(t)
    everyRequest.push(world)
    world.emulator.cas.add({ ...pair(gone), name: 'acme-oss-1' })
    const { result } = await world.give(t, material, ['--cas-prune', ...world.toEdges])
    t.same(stepsOf(result), ['prune changed', 'upload changed'])
    t.match(
      world.emulator.cas.certificates.map(({ name }) => name),
      only(`acme-oss-${sha1}`),
    )
  })
})

t.test('the private key is never asked for', async (t) => {
  const details = everyRequest.flatMap((world) => world.asked(detail))
  t.ok(details.length > 10)
  t.same([...new Set(details.map((request) => formOf(request)['CertFilter']))], ['true'])
  t.ok(
    everyRequest.flatMap((world) => world.asked(listing)).every((request) => formOf(request)['OrderType'] === 'UPLOAD'),
  )
})

await proveNoKeyLeaks(t)
