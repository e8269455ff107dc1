import { accountId } from '../account.js'
import { element, type Xml, xmlDocument } from '../xml.js'
import type { Bucket } from './bucket.js'
import { isOpen } from './bucket-policy.js'
import type { Operation } from './operation.js'

export const owner: Xml = element('Owner', [element('ID', accountId), element('DisplayName', accountId)])

/** A bucket's setting, read as XML. None of them is data, so the public endpoint stays open to them. */
const bucketRead = (subresource: string, action: string, root: (bucket: Bucket) => Xml): Operation => ({
  action,
  method: 'GET',
  on: 'bucket',
  query: { [subresource]: true },
  data: false,
  perform: ({ bucket }) => ({
    status: 200,
    headers: { 'Content-Type': 'application/xml' },
    body: xmlDocument(root(bucket)),
  }),
})

const grants = (bucket: Bucket): Xml => element('AccessControlList', [element('Grant', bucket.acl)])

const getBucketInfo = bucketRead('bucketInfo', 'oss:GetBucketInfo', (bucket) =>
  element('BucketInfo', [
    element('Bucket', [
      element('AccessMonitor', 'Disabled'),
      element('BlockPublicAccess', false),
      element('CreationDate', bucket.created.toISOString()),
      element('CrossRegionReplication', 'Disabled'),
      element('DataRedundancyType', 'LRS'),
      element('ExtranetEndpoint', `${bucket.location}.aliyuncs.com`),
      element('IntranetEndpoint', `${bucket.location}-internal.aliyuncs.com`),
      element('Location', bucket.location),
      element('Name', bucket.name),
      element('ResourceGroupId', 'rg-default'),
      element('StorageClass', 'Standard'),
      element('TransferAcceleration', bucket.accelerate ? 'Enabled' : 'Disabled'),
      bucket.versioning && element('Versioning', bucket.versioning),
      owner,
      grants(bucket),
      element('ServerSideEncryptionRule', [element('SSEAlgorithm', 'None')]),
      element('BucketPolicy', [element('LogBucket', ''), element('LogPrefix', '')]),
    ]),
  ]),
)

export const bucketReads: readonly Operation[] = [
  bucketRead('acl', 'oss:GetBucketAcl', (bucket) => element('AccessControlPolicy', [owner, grants(bucket)])),
  getBucketInfo,
  bucketRead('location', 'oss:GetBucketLocation', (bucket) => element('LocationConstraint', bucket.location)),
  bucketRead('versioning', 'oss:GetBucketVersioning', (bucket) =>
    element('VersioningConfiguration', [bucket.versioning && element('Status', bucket.versioning)]),
  ),
  bucketRead('policyStatus', 'oss:GetBucketPolicyStatus', (bucket) =>
    element('PolicyStatus', [element('IsPublic', isOpen(bucket))]),
  ),
]
