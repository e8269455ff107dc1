// Zones of AliDNS over the wire, against the emulator.
import t, { type Test } from 'tap'
import { DnsZones, dnsZonePermissions, zonesAbove } from '../../src/aliyun/dns-zones.js'
import { Pace } from '../../src/aliyun/pace.js'
import { RpcClient } from '../../src/aliyun/rpc.js'
import { CertError } from '../../src/errors.js'
import { HttpConnections } from '../../src/http-connections.js'
import { Secret } from '../../src/secret.js'
import { type Emulator, startEmulator } from '../emulator/emulator.js'
import type { Statement } from '../emulator/permissions.js'

const { signal } = new AbortController()

const open = async (
  t: Test,
  allow: readonly Statement[] = [{ action: '*', resource: '*' }],
): Promise<{ readonly emulator: Emulator; readonly zones: DnsZones }> => {
  const emulator = await startEmulator()
  const connections = new HttpConnections()
  t.teardown(async () => {
    connections.close()
    await emulator.close()
  })
  emulator.addKey({ id: 'LTAI-dns', secret: 'the-secret-of-dns', allow })
  const client = new RpcClient({
    endpoint: new URL(emulator.url),
    version: '2015-01-09',
    credentials: async () => ({
      accessKeyId: new Secret('LTAI-dns'),
      accessKeySecret: new Secret('the-secret-of-dns'),
      securityToken: undefined,
    }),
    connections,
    timeout: 5000,
    now: () => new Date(),
    pace: new Pace(1000, 100),
  })
  return { emulator, zones: new DnsZones(client) }
}

/** The code of a refusal, or what came instead. */
const refused = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return await work
  } catch (error) {
    return error instanceof CertError ? error.vendor?.code : error
  }
}

t.test('the longest zone that is ours', async (t) => {
  const { emulator, zones } = await open(t, [
    { action: 'alidns:*', resource: ['domain/example.com', 'domain/dev.example.com', 'domain/*.cn'] },
  ])
  const { alidns } = emulator
  for (const zone of ['example.com', 'dev.example.com', 'secret.example.com', 'example.com.cn']) alidns.addZone(zone)
  alidns.addZone('theirs.com.cn', { ofOthers: true })
  const find = (name: string) => zones.find(name, signal)
  t.same(await Promise.all(['a.example.com', 'b.example.com', 'a.b.dev.example.com', 'dev.example.com'].map(find)), [
    { zone: 'example.com' },
    { zone: 'example.com' },
    { zone: 'dev.example.com' },
    { zone: 'dev.example.com' },
  ])
  t.same(await find('a.secret.example.com'), { zone: 'example.com' }, 'one that may not be read is not ours')
  t.same(await find('_acme-challenge.www.example.com.cn'), { zone: 'example.com.cn' })
  const asked = emulator.requests.map(({ key }) => key)
  t.equal(new Set(asked).size, asked.length, 'each is asked for once')

  const whyNot = async (name: string) => {
    const look = await find(name)
    return 'refusal' in look ? look.refusal : look
  }
  t.match(await whyNot('_acme-challenge.www.other.org'), {
    code: 'CLOUD_REFUSED',
    vendor: { code: 'Forbidden.RAM' },
    hint: /alidns:DescribeDomainRecords on acs:alidns:\*:\*:domain\/other\.org /,
  })
  t.match(await whyNot('_acme-challenge.theirs.com.cn'), { vendor: { code: 'IncorrectDomainUser' } })
  t.match(await whyNot('_acme-challenge.none.com.cn'), {
    vendor: { code: 'InvalidDomainName.NoExist' },
    message:
      /^looking for the zone of _acme-challenge\.none\.com\.cn in AliDNS: none\.com\.cn: InvalidDomainName\.NoExist/,
  })

  emulator.removeKey('LTAI-dns')
  t.equal(await refused(find('www.later.cn')), 'InvalidAccessKeyId.NotFound', 'another failure is no answer')
  emulator.addKey({ id: 'LTAI-dns', secret: 'the-secret-of-dns', allow: [{ action: '*', resource: '*' }] })
  alidns.addZone('later.cn')
  t.same(await find('www.later.cn'), { zone: 'later.cn' }, 'and is not remembered')
})

t.test('records', async (t) => {
  const { emulator, zones } = await open(t)
  const { alidns } = emulator
  alidns.addZone('example.com')
  const place = '_acme-challenge.example.com'
  const add = (name: string, value: string) => zones.addTxt('example.com', name, value, signal)
  const remove = (name: string, value: string) => zones.removeTxt('example.com', name, value, signal)

  const ids = await Promise.all([add(place, 'one'), add(place, 'two'), add('example.com', 'top')])
  t.equal(new Set(ids.map((one) => 'id' in one && one.id)).size, 3)
  t.same(alidns.values(place), ['one', 'two'])
  t.same(alidns.values('example.com'), ['top'])
  t.same(await add(place, 'one'), ids[0], 'what is there is taken for done')

  // A list of several pages, of which most only sound alike.
  for (let i = 0; i < 600; i++) alidns.addRecord('example.com', `${i}._acme-challenge`, 'TXT', 'one')
  alidns.addRecord('example.com', '_acme-challenge', 'CAA', 'one')
  t.equal(await remove(place, 'one'), undefined)
  t.same(alidns.values(place), ['two'])
  t.same(alidns.values(place, 'CAA'), ['one'])
  t.same(alidns.values(`7.${place}`), ['one'])
  t.equal(await remove(place, 'one'), undefined, 'nothing is there')
  t.equal(await remove('example.com', 'top'), undefined)
  t.same(alidns.values('example.com'), [])
  await zones.remove('example.com', place, '1', signal)

  alidns.addRecord('example.com', '_acme-challenge.led', 'CNAME', 'Elsewhere.example.net.')
  const led = '_acme-challenge.led.example.com'
  t.same(await add(led, 'one'), { leadsTo: 'elsewhere.example.net' })
  t.equal(await remove(led, 'one'), 'elsewhere.example.net')
})

t.test('refusals', async (t) => {
  const { emulator, zones } = await open(t)
  emulator.alidns.addZone('example.com')
  const place = '_acme-challenge.example.com'
  const add = () => zones.addTxt('example.com', place, 'one', signal)
  emulator.alidns.quota = 0
  t.equal(await refused(add()), 'QuotaExceeded.Record')
  emulator.alidns.quota = 10
  emulator.alidns.shortestTtl = 601
  t.equal(await refused(add()), 'InvalidTTL', 'the emulator looks')
  emulator.alidns.shortestTtl = 600
  // Nothing is there that would explain it.
  for (const code of ['DomainRecordConflict', 'DomainRecordDuplicate', 'DomainRecordLocked']) {
    const fault = emulator.fail({ action: 'alidns:AddDomainRecord' }, { status: 400, code })
    t.equal(await refused(add()), code)
    fault.remove()
  }
  await add()
  emulator.fail({ action: 'alidns:DeleteDomainRecord' }, { status: 400, code: 'RecordForbidden.BlackHole' })
  t.equal(await refused(zones.removeTxt('example.com', place, 'one', signal)), 'RecordForbidden.BlackHole')
})

t.test('what it takes to be allowed', async (t) => {
  t.same(zonesAbove('a.b.example.com'), ['a.b.example.com', 'b.example.com', 'example.com'])
  t.match(dnsZonePermissions(['*.example.com', 'example.com', 'a.example.com']), [
    { resources: ['acs:alidns:*:*:domain/example.com', 'acs:alidns:*:*:domain/a.example.com'], needed: true },
  ])
})
