import t, { type Test } from 'tap'
import type { AccessKey } from './access-key.js'
import { callPop } from './call-pop.js'
import { type Emulator, startEmulator } from './emulator.js'

const key: AccessKey = {
  id: 'LTAI-tester',
  secret: 'not-a-secret',
  allow: [
    { action: 'alidns:*', resource: ['domain/example.com', 'domain/theirs.com', 'domain/none.com', 'domain/_x-'] },
  ],
}

type Form = Readonly<Record<string, string>>

const start = async (t: Test): Promise<Emulator> => {
  const emulator = await startEmulator()
  t.teardown(() => emulator.close())
  emulator.addKey(key)
  emulator.alidns.addZone('example.com')
  emulator.alidns.addZone('theirs.com', { ofOthers: true })
  return emulator
}

const call = async ({ port }: Emulator, action: string, form: Form = {}) =>
  (await callPop(port, { product: 'alidns', action, form }, key)).json

const txt = { DomainName: 'example.com', RR: '_acme-challenge', Type: 'TXT', Value: 'one' }

t.test('a record from its making to its end', async (t) => {
  const emulator = await start(t)
  const { RecordId: id } = await call(emulator, 'AddDomainRecord', txt)
  t.match(emulator.alidns.at('_acme-challenge.example.com'), [{ id, type: 'TXT', value: 'one', ttl: 600 }])
  const tries = async (action: string, form: Form) => (await call(emulator, action, form)).Code
  t.equal(await tries('AddDomainRecord', txt), 'DomainRecordDuplicate')
  t.equal(await tries('AddDomainRecord', { ...txt, Type: 'CNAME', Value: 'a.example.net' }), 'DomainRecordConflict')
  t.equal(await tries('AddDomainRecord', { ...txt, Value: 'two', TTL: '60' }), 'InvalidTTL')
  t.equal(await tries('AddDomainRecord', { ...txt, RR: 'a b' }), 'DomainRecordInvalid.RR')
  t.equal(await tries('AddDomainRecord', { ...txt, Value: 'x'.repeat(513) }), 'SubDomainInvalid.Value')
  t.equal(await tries('AddDomainRecord', { ...txt, DomainName: 'theirs.com' }), 'IncorrectDomainUser')
  t.equal(await tries('AddDomainRecord', { ...txt, DomainName: 'none.com' }), 'InvalidDomainName.NoExist')
  t.equal(await tries('AddDomainRecord', { ...txt, DomainName: '_x-' }), 'InvalidDomainName.Format')
  t.equal(await tries('AddDomainRecord', { ...txt, DomainName: 'other.com' }), 'Forbidden.RAM')
  t.equal(await tries('AddDomainRecord', { ...txt, Values: 'two' }), 'InvalidParameter')
  t.equal(await tries('AddDomainRecord', { ...txt, Value: '' }), 'MissingValue')
  const same = { RecordId: String(id), RR: txt.RR, Type: 'TXT', Value: 'one' }
  t.equal(await tries('UpdateDomainRecord', same), 'DomainRecordDuplicate')
  t.equal(await tries('UpdateDomainRecord', { ...same, Value: 'two' }), undefined)
  t.same(emulator.alidns.values('_acme-challenge.example.com'), ['two'])
  t.equal(await tries('DeleteDomainRecord', { RecordId: String(id) }), undefined)
  t.equal(await tries('DeleteDomainRecord', { RecordId: String(id) }), 'DomainRecordNotBelongToUser')
  const { id: theirs } = emulator.alidns.addRecord('theirs.com', 'www', 'A', '192.0.2.1')
  t.equal(await tries('DeleteDomainRecord', { RecordId: theirs }), 'DomainRecordNotBelongToUser')
  emulator.alidns.quota = 0
  t.equal(await tries('AddDomainRecord', txt), 'QuotaExceeded.Record')
  emulator.alidns.callsPerSecond = 0
  t.equal(await tries('AddDomainRecord', txt), 'Throttling.User')
})

t.test('lists', async (t) => {
  const emulator = await start(t)
  const { alidns } = emulator
  for (const [rr, type, value] of [
    ['@', 'TXT', 'top'],
    ['a', 'TXT', 'one'],
    ['ba', 'TXT', 'two'],
    ['a', 'A', '192.0.2.1'],
  ] as const)
    alidns.addRecord('example.com', rr, type, value)
  const list = async (action: string, form: Form) => {
    const { DomainRecords: records, TotalCount: total, Code: code } = await call(emulator, action, form)
    const all = (records as { Record: readonly { Value: string }[] } | undefined)?.Record ?? []
    return [code ?? total, ...all.map(({ Value }) => Value)]
  }
  const inZone = (form: Form) => list('DescribeDomainRecords', { DomainName: 'example.com', ...form })
  t.same(await inZone({}), [4, '192.0.2.1', 'two', 'one', 'top'], 'the newest first')
  t.same(await inZone({ RRKeyWord: 'A', TypeKeyWord: 'TXT' }), [2, 'two', 'one'], 'whatever holds it')
  t.same(await inZone({ ValueKeyWord: 'o', PageSize: '2', PageNumber: '2' }), [3, 'top'])
  t.same(await inZone({ PageSize: '501' }), ['InvalidPageSize'])
  t.same(await inZone({ PageNumber: '0' }), ['InvalidPageNumber'])
  t.same(await inZone({ KeyWord: 'a' }), ['NotImplemented'])
  const atName = (form: Form) => list('DescribeSubDomainRecords', { SubDomain: 'a.example.com', ...form })
  t.same(await atName({}), [2, '192.0.2.1', 'one'])
  t.same(await atName({ Type: 'TXT' }), [1, 'one'])
  t.same(await atName({ PageSize: '101' }), ['InvalidPageSize'])
  t.equal((await call(emulator, 'DescribeDomains')).Code, 'Forbidden.RAM', 'for that it takes all domains')
  emulator.addKey({ ...key, allow: [{ action: '*', resource: '*' }] })
  t.match(await call(emulator, 'DescribeDomains', { KeyWord: 'e' }), {
    TotalCount: 1,
    Domains: { Domain: [{ DomainName: 'example.com', RecordCount: 4 }] },
  })
})
