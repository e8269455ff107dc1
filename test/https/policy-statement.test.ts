import t, { type Test } from 'tap'
import {
  denialFor,
  deniesPlainHttp,
  otherDenials,
  type ReadPolicy,
  readPolicy,
  withDenial,
  withoutDenial,
} from '../../src/https/policy-statement.js'

const bucket = 'my-site'
const ours = denialFor(bucket)
const denial = JSON.parse(ours) as Readonly<Record<string, unknown>>

const read = (text: string): ReadPolicy => {
  const policy = readPolicy(text)
  if (typeof policy === 'string') throw new Error(policy)
  return policy
}

t.test('what is a denial of plain HTTP', async (t) => {
  const condition = (value: unknown) => ({ Condition: { Bool: { 'acs:SecureTransport': value } } })
  const same: readonly object[] = [
    {},
    { Sid: 'https only', Principal: '*', Action: 'oss:*', Resource: 'acs:oss:*:*:my-site*' },
    { Principal: ['123', '*'], Action: ['oss:PutObject', 'oss:getobject'] },
    { Action: 'oss:Get*', Resource: ['acs:oss:cn-hangzhou:123456:my-site/*'] },
    { Action: '*', Resource: '*' },
    { Resource: ['acs:oss:*:*:*'] },
    condition('false'),
    condition(false),
    condition(['False']),
    { Condition: { bool: { 'ACS:SecureTransport': ['false'] } } },
  ]
  for (const other of same) t.ok(deniesPlainHttp({ ...denial, ...other }, bucket), JSON.stringify(other))
  const { Principal: _, ...nobody } = denial
  const others: readonly unknown[] = [
    nobody,
    ...[
      { Effect: 'Allow' },
      { Principal: ['123'] },
      { Action: ['oss:PutObject', 'oss:List*'] },
      { NotAction: ['oss:GetObject'] },
      { Resource: ['acs:oss:*:*:my-site'] },
      { Resource: ['acs:oss:*:*:my-site/private/*'] },
      { Resource: ['acs:oss:*:*:my-site/*.html'] },
      { Resource: ['acs:oss:*:*:my-site-2/*', 'acs:oss:*:*:your-site/*'] },
      { Resource: ['acs:oss:*:*:my-site/', 'acs:oss:*:*:my-site?'] },
      { Resource: [] },
      condition('true'),
      condition(['true', 'false']),
      condition([]),
      { Condition: undefined },
      { Condition: {} },
      { Condition: { Bool: { 'acs:MFAPresent': ['false'] } } },
      { Condition: { StringEquals: { 'acs:SecureTransport': ['false'] } } },
      { Condition: { Bool: { 'acs:SecureTransport': ['false'], 'acs:MFAPresent': ['false'] } } },
      { Condition: { Bool: { 'acs:SecureTransport': ['false'] }, IpAddress: { 'acs:SourceIp': ['10.0.0.0/8'] } } },
    ].map((other) => ({ ...denial, ...other })),
    null,
    'Deny',
    [denial],
  ]
  for (const other of others) t.notOk(deniesPlainHttp(other, bucket), JSON.stringify(other))
})

const foreign = `{ "Effect":"Allow",
    "Principal": ["2768"],  "Action":["oss:Get*" ], "Statement": [1,2], "Sid": "a \\"], Statement: [ \\\\",
    "Resource":["acs:oss:*:*:my-site/ü/*"]}`
const partly = JSON.stringify({ ...denial, Principal: ['123'] })

t.test('in and out again, and all else stays to the byte', async (t) => {
  const heads: readonly (readonly [string, string])[] = [
    ['{"Version":"1","Statement":[', ']}'],
    ['{\r\n\t"Statement" : [\n      ', '\n    ],\n  "Version": "1" }\n'],
    ['{"Other":{"Statement":[{}]},"Version":"1","\\u0053tatement":[ ', ' ]}'],
  ]
  for (const [head, tail] of heads) {
    for (const statements of [[foreign], [foreign, partly], [partly, foreign, foreign]]) {
      const text = head + statements.join(',\n      ') + tail
      const policy = withDenial(read(text), bucket)
      t.ok(policy.startsWith(text.slice(0, -tail.length)), policy)
      t.ok(policy.endsWith(tail))
      t.same(
        JSON.parse(policy).Statement,
        [...statements.map((one) => JSON.parse(one)), denial],
        'added behind the others',
      )
      t.equal(withDenial(read(policy), bucket), policy, 'once')
      t.equal(withoutDenial(read(policy), bucket), text)
      t.equal(withoutDenial(read(text), bucket), text, 'nothing to take out')
    }
  }
})

t.test('wherever it stands', async (t) => {
  const text = (...statements: readonly string[]) => `{"Version":"1","Statement":[ ${statements.join(' , ')} ]}`
  const taken = (...statements: readonly string[]) => withoutDenial(read(text(...statements)), bucket)
  t.equal(taken(ours, foreign, partly), text(foreign, partly))
  t.equal(taken(foreign, ours, partly), text(foreign, partly))
  t.equal(taken(ours, foreign, ours, ours, partly, ours), text(foreign, partly))
  t.equal(taken(ours, ours), null, 'nothing is left')
  t.equal(withDenial(undefined, bucket), `{"Version":"1","Statement":[${ours}]}`)
  t.equal(withDenial(read('{"Statement":[ ]}'), bucket), `{"Statement":[${ours} ]}`)
  const objects = JSON.stringify({ ...denial, Resource: ['acs:oss:*:*:my-site/*'], Sid: 'theirs' })
  t.equal(withDenial(read(text(objects)), bucket), text(objects, ours).replace(' , ', ', '), 'not the whole of it')
  t.equal(taken(objects, foreign, ours), text(foreign), 'but it goes with ours: plain HTTP is to work')
})

t.test('statements of others about plain HTTP are counted', async (t: Test) => {
  const [one, two] = [partly, JSON.stringify({ ...denial, Resource: ['acs:oss:*:*:my-site/private/*'] })]
  t.equal(otherDenials(read(`{"Statement":[${one},${ours},${two},${foreign},null]}`), bucket), 2)
})

t.test('what is no policy', async (t) => {
  for (const text of ['', '{', 'Deny']) t.equal(readPolicy(text), 'not JSON', text)
  const bad = ['null', '[]', '"Statement"', '{}', '{"Statement":{}}', '{"Statement":"[]"}', '{"x":{"Statement":[]}}']
  for (const text of [...bad, '{"Statement":[],"Statement":[]}'])
    t.equal(readPolicy(text), 'without one list of statements', text)
})
