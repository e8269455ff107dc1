import t from 'tap'
import { longestPolicy, ramPolicy, statementsOf, type UsedPermission } from '../../src/aliyun/ram-policy.js'

const used = (
  actions: readonly string[],
  resources: readonly string[],
  more: Partial<UsedPermission> = {},
): UsedPermission => ({ actions, resources, needed: true, why: 'because', user: 'a target', ...more })

/** Each statement in a line: `needed a:B on x for y`. */
const lines = (permissions: readonly UsedPermission[]): string[] =>
  statementsOf(permissions).map(
    ({ actions, resources, needed, why, users }) =>
      `${needed ? 'needed' : 'recommended'} ${actions.join()} on ${resources.join()} for ${users.join()}: ${why}`,
  )

t.test('what has one purpose is one statement', async (t) => {
  const put = (user: string, resource: string) => used(['oss:PutObject'], [resource], { user })
  t.same(lines([put('two', 'b/two/*'), put('one', 'b/one/*'), put('one', 'b/one/*'), put('three', 'b/one/*')]), [
    'needed oss:PutObject on b/one/*,b/two/* for one,three,two: because',
  ])
  t.same(lines([used(['c', 'a'], ['x']), used(['b'], ['x'])]), ['needed a,b,c on x for a target: because'])
  t.same(
    lines([used(['a', 'b'], ['x']), used(['a'], ['y'])]),
    ['needed a on y for a target: because', 'needed a,b on x for a target: because'],
    'nothing is granted that nobody asked for: b on y',
  )
  t.same(lines([]), [])
})

t.test('what is needed comes first, and counts', async (t) => {
  const look = used(['look'], ['x'], { needed: false, why: 'to see', user: 'one' })
  t.same(lines([look, used(['zap'], ['x'])]), [
    'needed zap on x for a target: because',
    'recommended look on x for one: to see',
  ])
  t.same(
    lines([look, used(['look'], ['x'], { why: 'to find', user: 'two' })]),
    ['needed look on x for one,two: to find; to see'],
    'never twice',
  )
})

t.test('what a wider grant covers is not named beside it', async (t) => {
  const set = (resource: string, more: Partial<UsedPermission> = {}) => used(['set'], [resource], more)
  t.same(lines([set('domain/a.example', { user: 'a' }), set('domain/*', { user: 'all' })]), [
    'needed set on domain/* for a,all: because',
  ])
  t.same(lines([set('*', { user: 'all' }), set('domain/*', { user: 'domains' }), set('domain/a', { user: 'a' })]), [
    'needed set on * for a,all,domains: because',
  ])
  t.same(lines([set('bucket/certs*'), set('bucket/certs/a/*')]), ['needed set on bucket/certs* for a target: because'])
  t.same(
    lines([set('domain/a'), set('domain/*', { needed: false })]),
    ['needed set on domain/a for a target: because', 'recommended set on domain/* for a target: because'],
    'unless it is needed, and the wider one is not',
  )
  t.same(lines([set('domain/a'), used(['look'], ['domain/*'])]).length, 2, 'or the wider one is of another action')
  t.same(lines([set('domain/ab'), set('domain/a')]).length, 1)
  t.match(lines([set('domain/ab'), set('domain/a')]), [/ on domain\/a,domain\/ab /], 'only a star covers more')
})

t.test('the order in which it is asked makes no difference', async (t) => {
  const all = ['d', 'a', 'c', 'b'].flatMap((name) => [
    used([`${name}:Put`, `${name}:Get`], [`${name}/x/*`, 'shared'], { user: name }),
    used([`${name}:Look`], ['shared'], { user: name, needed: false, why: 'to see' }),
    used(['shared'], [`${name}/*`], { user: name, needed: name === 'a' }),
  ])
  const policy = JSON.stringify(ramPolicy(statementsOf(all)))
  for (let turn = 1; turn < all.length; turn++) {
    const turned = [...all.slice(turn), ...all.slice(0, turn)]
    t.equal(JSON.stringify(ramPolicy(statementsOf(turned))), policy)
    t.equal(JSON.stringify(ramPolicy(statementsOf(turned.toReversed()))), policy)
  }
})

t.test('as RAM takes it', async (t) => {
  t.same(ramPolicy(statementsOf([used(['oss:PutObject'], ['acs:oss:*:*:b/*'])])), {
    Version: '1',
    Statement: [{ Effect: 'Allow', Action: ['oss:PutObject'], Resource: ['acs:oss:*:*:b/*'] }],
  })
  t.equal(longestPolicy, 6144)
})

t.test('thousands of targets take no time', async (t) => {
  const many = Array.from({ length: 10_000 }, (_, i) =>
    used(['oss:PutObject', 'oss:GetObject'], [`acs:oss:*:*:my-ssl-certs/certs/host-${i}.example.com/*`], {
      user: `oss ${i}`,
    }),
  )
  const statements = statementsOf(many)
  t.equal(statements.length, 1)
  t.equal(statements[0]?.resources.length, 10_000)
})
