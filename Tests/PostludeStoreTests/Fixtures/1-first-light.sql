PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
INSERT INTO grdb_migrations VALUES('1 first light');
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    project TEXT NOT NULL,
    uid INTEGER NOT NULL,
    user TEXT NOT NULL,
    identity TEXT NOT NULL,
    operation TEXT NOT NULL,
    inputs TEXT NOT NULL,
    outputs TEXT NOT NULL DEFAULT '{}',
    notes TEXT NOT NULL,
    working_directory TEXT,
    artifacts TEXT NOT NULL,
    upstream TEXT REFERENCES runs(id),
    hook_index INTEGER,
    hook_name TEXT,
    needs TEXT NOT NULL,
    state TEXT NOT NULL,
    phase TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    attempt INTEGER NOT NULL DEFAULT 0,
    held_memory INTEGER NOT NULL DEFAULT 0,
    held_cpu INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    queued_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    UNIQUE (upstream, hook_index)
) STRICT;
INSERT INTO runs VALUES(1,'00000000000000000000000000000001','trained','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":1}},"hooks":[{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":1}},"disableDefaults":false,"name":"notify","origin":"inline","params":{},"trigger":"done"},{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":1}},"disableDefaults":false,"name":"upload","origin":"inline","params":{},"trigger":"done"}],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{"loss":0.25}','[]',NULL,'/state/00000000000000000000000000000001',NULL,NULL,NULL,'{"devices":{"example.com/fuse":1},"memoryBytes":1048576,"milliCPU":100}','{"finished":{"_0":{"exit":{"code":0},"message":"","reason":"Completed","status":"succeeded"}}}','finished','succeeded','Completed','',2,0,0,1700000000000000,1700000000000000,1700000000000000,1700000016000000);
INSERT INTO runs VALUES(2,'00000000000000000000000000000002','notify','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000002','00000000000000000000000000000001',0,'notify','{"devices":{},"memoryBytes":1048576,"milliCPU":100}','{"running":{"_0":{"attempt":1,"launches":1,"lease":{"devices":[],"memoryBytes":1048576,"milliCPU":100},"terms":{"maxRetries":0}}}}','running','running','MainStarted','',1,1048576,100,1700000017000000,1700000017000000,1700000017000000,NULL);
INSERT INTO runs VALUES(3,'00000000000000000000000000000003','stuck','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000003',NULL,NULL,NULL,'{"devices":{"example.com/fuse":1},"memoryBytes":1048576,"milliCPU":100}','{"finished":{"_0":{"exit":{"coreDumped":false,"signal":9},"message":"Main ended with signal 9.","reason":"MainFailed","status":"failed"}}}','finished','failed','MainFailed','Main ended with signal 9.',1,0,0,1700000030000000,1700000030000000,1700000030000000,1700000036000000);
INSERT INTO runs VALUES(4,'00000000000000000000000000000004','running','default',1001,'bob','{"gid":1001,"groups":[],"home":"/home/bob","name":"bob","uid":1001}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000004',NULL,NULL,NULL,'{"devices":{"example.com/fuse":1},"memoryBytes":1048576,"milliCPU":100}','{"running":{"_0":{"attempt":1,"launches":1,"lease":{"devices":["loop"],"memoryBytes":1048576,"milliCPU":100},"terms":{"maxRetries":0}}}}','running','running','MainStarted','',1,1048576,100,1700000040000000,1700000040000000,1700000040000000,NULL);
INSERT INTO runs VALUES(5,'00000000000000000000000000000005','launching','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000005',NULL,NULL,NULL,'{"devices":{"example.com/fuse":1},"memoryBytes":1048576,"milliCPU":100}','{"launching":{"_0":{"attempt":1,"launches":1,"lease":{"devices":["null"],"memoryBytes":1048576,"milliCPU":100},"terms":{"maxRetries":0}}}}','launching','scheduled','Placed','',1,1048576,100,1700000050000000,1700000050000000,1700000050000000,NULL);
INSERT INTO runs VALUES(6,'00000000000000000000000000000006','waiting','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000006',NULL,NULL,NULL,'{"devices":{"example.com/fuse":1},"memoryBytes":1048576,"milliCPU":100}','{"queued":{"_0":{"attempt":1,"canEver":true,"reason":"waits for 1 example.com/fuse (0 there)","terms":{"maxRetries":0}}}}','queued','queued','Waiting','waits for 1 example.com/fuse (0 there)',0,0,0,1700000051000000,1700000051000000,NULL,NULL);
INSERT INTO runs VALUES(7,'00000000000000000000000000000007','stopping','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000007',NULL,NULL,NULL,'{"devices":{},"memoryBytes":1048576,"milliCPU":100}','{"stopping":{"_0":{"attempt":1,"launches":1,"lease":{"devices":[],"memoryBytes":1048576,"milliCPU":100},"terms":{"maxRetries":0}},"_1":{"by":"ada"}}}','stopping','stopping','StopRequested','Asked for by ada.',1,1048576,100,1700000052000000,1700000052000000,1700000052000000,NULL);
INSERT INTO runs VALUES(8,'00000000000000000000000000000008','ended','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000008',NULL,NULL,NULL,'{"devices":{},"memoryBytes":1048576,"milliCPU":100}','{"processing":{"_0":{"attempt":1,"launches":1,"lease":{"devices":[],"memoryBytes":1048576,"milliCPU":100},"terms":{"maxRetries":0}},"_1":{"isStopping":false,"next":{"finish":{"_0":{"exit":{"code":0},"message":"","reason":"Completed","status":"succeeded"}}}}}}','processing','processing','Completed','',1,1048576,100,1700000060000000,1700000060000000,1700000060000000,NULL);
INSERT INTO runs VALUES(9,'00000000000000000000000000000009','skipped','default',1000,'ada','{"gid":1000,"groups":[],"home":"/home/ada","name":"ada","uid":1000}','{"component":{"inputs":[],"job":{"container":{"args":[],"command":[{"source":"/bin/true"}],"environment":[],"resources":{"devices":{}}},"initSteps":[],"sidecars":[]},"outputs":[],"termination":{"graceSeconds":30,"maxRetries":0}},"hooks":[],"notes":[],"params":{},"tags":[]}','{"rate":0.5}','{}','[]',NULL,'/state/00000000000000000000000000000009',NULL,NULL,NULL,'{"devices":{},"memoryBytes":1048576,"milliCPU":100}','{"finished":{"_0":{"message":"no","reason":"ConditionFalse","status":"skipped"}}}','finished','skipped','ConditionFalse','no',0,0,0,1700000070000000,NULL,NULL,1700000070000000);
CREATE TABLE conditions (
    run TEXT NOT NULL REFERENCES runs(id),
    position INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    last_transition INTEGER NOT NULL,
    last_update INTEGER NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
INSERT INTO conditions VALUES('00000000000000000000000000000001',0,'created','Created','',1700000000000000,1700000000000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',1,'compiled','Compiled','',1700000000000000,1700000000000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',2,'queued','Queued','',1700000000000000,1700000000000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',3,'scheduled','Placed','',1700000000000000,1700000000000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',4,'starting','Accepted','',1700000005000000,1700000005000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',5,'running','MainStarted','',1700000005000000,1700000005000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',6,'processing','MainFailed','The devices are taken back.',1700000005000000,1700000005000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',7,'retrying','MainFailed','Attempt 1 of at most 2: Main ended with code 3.',1700000006000000,1700000006000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',8,'queued','Retrying','',1700000006000000,1700000006000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',9,'scheduled','Placed','',1700000006000000,1700000006000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',10,'starting','Accepted','',1700000015000000,1700000015000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',11,'running','MainStarted','',1700000015000000,1700000015000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',12,'processing','Completed','The devices are taken back.',1700000015000000,1700000015000000);
INSERT INTO conditions VALUES('00000000000000000000000000000001',13,'succeeded','Completed','',1700000016000000,1700000016000000);
INSERT INTO conditions VALUES('00000000000000000000000000000002',0,'created','Created','',1700000017000000,1700000017000000);
INSERT INTO conditions VALUES('00000000000000000000000000000002',1,'compiled','Compiled','',1700000017000000,1700000017000000);
INSERT INTO conditions VALUES('00000000000000000000000000000002',2,'queued','Queued','',1700000017000000,1700000017000000);
INSERT INTO conditions VALUES('00000000000000000000000000000002',3,'scheduled','Placed','',1700000017000000,1700000017000000);
INSERT INTO conditions VALUES('00000000000000000000000000000002',4,'starting','Accepted','',1700000025000000,1700000025000000);
INSERT INTO conditions VALUES('00000000000000000000000000000002',5,'running','MainStarted','',1700000025000000,1700000025000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',0,'created','Created','',1700000030000000,1700000030000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',1,'compiled','Compiled','',1700000030000000,1700000030000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',2,'queued','Queued','',1700000030000000,1700000030000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',3,'scheduled','Placed','',1700000030000000,1700000030000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',4,'starting','Accepted','',1700000035000000,1700000035000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',5,'running','MainStarted','',1700000035000000,1700000035000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',6,'processing','MainFailed','The devices are taken back.',1700000035000000,1700000035000000);
INSERT INTO conditions VALUES('00000000000000000000000000000003',7,'failed','MainFailed','Main ended with signal 9.',1700000036000000,1700000036000000);
INSERT INTO conditions VALUES('00000000000000000000000000000004',0,'created','Created','',1700000040000000,1700000040000000);
INSERT INTO conditions VALUES('00000000000000000000000000000004',1,'compiled','Compiled','',1700000040000000,1700000040000000);
INSERT INTO conditions VALUES('00000000000000000000000000000004',2,'queued','Queued','',1700000040000000,1700000040000000);
INSERT INTO conditions VALUES('00000000000000000000000000000004',3,'scheduled','Placed','',1700000040000000,1700000040000000);
INSERT INTO conditions VALUES('00000000000000000000000000000004',4,'starting','Accepted','',1700000045000000,1700000045000000);
INSERT INTO conditions VALUES('00000000000000000000000000000004',5,'running','MainStarted','',1700000045000000,1700000045000000);
INSERT INTO conditions VALUES('00000000000000000000000000000005',0,'created','Created','',1700000050000000,1700000050000000);
INSERT INTO conditions VALUES('00000000000000000000000000000005',1,'compiled','Compiled','',1700000050000000,1700000050000000);
INSERT INTO conditions VALUES('00000000000000000000000000000005',2,'queued','Queued','',1700000050000000,1700000050000000);
INSERT INTO conditions VALUES('00000000000000000000000000000005',3,'scheduled','Placed','',1700000050000000,1700000050000000);
INSERT INTO conditions VALUES('00000000000000000000000000000006',0,'created','Created','',1700000051000000,1700000051000000);
INSERT INTO conditions VALUES('00000000000000000000000000000006',1,'compiled','Compiled','',1700000051000000,1700000051000000);
INSERT INTO conditions VALUES('00000000000000000000000000000006',2,'queued','Waiting','waits for 1 example.com/fuse (0 there)',1700000051000000,1700000051000000);
INSERT INTO conditions VALUES('00000000000000000000000000000007',0,'created','Created','',1700000052000000,1700000052000000);
INSERT INTO conditions VALUES('00000000000000000000000000000007',1,'compiled','Compiled','',1700000052000000,1700000052000000);
INSERT INTO conditions VALUES('00000000000000000000000000000007',2,'queued','Queued','',1700000052000000,1700000052000000);
INSERT INTO conditions VALUES('00000000000000000000000000000007',3,'scheduled','Placed','',1700000052000000,1700000052000000);
INSERT INTO conditions VALUES('00000000000000000000000000000007',4,'starting','Accepted','',1700000057000000,1700000057000000);
INSERT INTO conditions VALUES('00000000000000000000000000000007',5,'running','MainStarted','',1700000057000000,1700000057000000);
INSERT INTO conditions VALUES('00000000000000000000000000000007',6,'stopping','StopRequested','Asked for by ada.',1700000058000000,1700000058000000);
INSERT INTO conditions VALUES('00000000000000000000000000000008',0,'created','Created','',1700000060000000,1700000060000000);
INSERT INTO conditions VALUES('00000000000000000000000000000008',1,'compiled','Compiled','',1700000060000000,1700000060000000);
INSERT INTO conditions VALUES('00000000000000000000000000000008',2,'queued','Queued','',1700000060000000,1700000060000000);
INSERT INTO conditions VALUES('00000000000000000000000000000008',3,'scheduled','Placed','',1700000060000000,1700000060000000);
INSERT INTO conditions VALUES('00000000000000000000000000000008',4,'starting','Accepted','',1700000065000000,1700000065000000);
INSERT INTO conditions VALUES('00000000000000000000000000000008',5,'running','MainStarted','',1700000065000000,1700000065000000);
INSERT INTO conditions VALUES('00000000000000000000000000000008',6,'processing','Completed','',1700000065000000,1700000065000000);
INSERT INTO conditions VALUES('00000000000000000000000000000009',0,'created','Created','',1700000070000000,1700000070000000);
INSERT INTO conditions VALUES('00000000000000000000000000000009',1,'skipped','ConditionFalse','no',1700000070000000,1700000070000000);
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL REFERENCES runs(id),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
INSERT INTO events VALUES(1,'00000000000000000000000000000001','status','created','Created','',1700000000000000);
INSERT INTO events VALUES(2,'00000000000000000000000000000001','status','compiled','Compiled','',1700000000000000);
INSERT INTO events VALUES(3,'00000000000000000000000000000001','status','queued','Queued','',1700000000000000);
INSERT INTO events VALUES(4,'00000000000000000000000000000001','status','scheduled','Placed','',1700000000000000);
INSERT INTO events VALUES(5,'00000000000000000000000000000001','device','fuse','leased','',1700000000000000);
INSERT INTO events VALUES(6,'00000000000000000000000000000001','status','starting','Accepted','',1700000005000000);
INSERT INTO events VALUES(7,'00000000000000000000000000000001','step','main','started','',1700000002000000);
INSERT INTO events VALUES(8,'00000000000000000000000000000001','status','running','MainStarted','',1700000005000000);
INSERT INTO events VALUES(9,'00000000000000000000000000000001','step','main','exited','code 3',1700000004000000);
INSERT INTO events VALUES(10,'00000000000000000000000000000001','status','processing','MainFailed','The devices are taken back.',1700000005000000);
INSERT INTO events VALUES(11,'00000000000000000000000000000001','device','fuse','releasing','',1700000005000000);
INSERT INTO events VALUES(12,'00000000000000000000000000000001','status','retrying','MainFailed','Attempt 1 of at most 2: Main ended with code 3.',1700000006000000);
INSERT INTO events VALUES(13,'00000000000000000000000000000001','status','queued','Retrying','',1700000006000000);
INSERT INTO events VALUES(14,'00000000000000000000000000000001','device','fuse','released','',1700000006000000);
INSERT INTO events VALUES(15,'00000000000000000000000000000001','status','scheduled','Placed','',1700000006000000);
INSERT INTO events VALUES(16,'00000000000000000000000000000001','device','fuse','leased','',1700000006000000);
INSERT INTO events VALUES(17,'00000000000000000000000000000001','status','starting','Accepted','',1700000015000000);
INSERT INTO events VALUES(18,'00000000000000000000000000000001','step','main','started','',1700000012000000);
INSERT INTO events VALUES(19,'00000000000000000000000000000001','status','running','MainStarted','',1700000015000000);
INSERT INTO events VALUES(20,'00000000000000000000000000000001','step','main','exited','code 0',1700000014000000);
INSERT INTO events VALUES(21,'00000000000000000000000000000001','status','processing','Completed','The devices are taken back.',1700000015000000);
INSERT INTO events VALUES(22,'00000000000000000000000000000001','device','fuse','releasing','',1700000015000000);
INSERT INTO events VALUES(23,'00000000000000000000000000000001','status','succeeded','Completed','',1700000016000000);
INSERT INTO events VALUES(24,'00000000000000000000000000000001','device','fuse','released','',1700000016000000);
INSERT INTO events VALUES(25,'00000000000000000000000000000002','status','created','Created','',1700000017000000);
INSERT INTO events VALUES(26,'00000000000000000000000000000002','status','compiled','Compiled','',1700000017000000);
INSERT INTO events VALUES(27,'00000000000000000000000000000002','status','queued','Queued','',1700000017000000);
INSERT INTO events VALUES(28,'00000000000000000000000000000001','hook','notify','fired','00000000000000000000000000000002',1700000017000000);
INSERT INTO events VALUES(29,'00000000000000000000000000000001','hook','upload','trigger_mismatch','failed',1700000017000000);
INSERT INTO events VALUES(30,'00000000000000000000000000000002','status','scheduled','Placed','',1700000017000000);
INSERT INTO events VALUES(31,'00000000000000000000000000000002','status','starting','Accepted','',1700000025000000);
INSERT INTO events VALUES(32,'00000000000000000000000000000002','step','main','started','',1700000022000000);
INSERT INTO events VALUES(33,'00000000000000000000000000000002','status','running','MainStarted','',1700000025000000);
INSERT INTO events VALUES(34,'00000000000000000000000000000003','status','created','Created','',1700000030000000);
INSERT INTO events VALUES(35,'00000000000000000000000000000003','status','compiled','Compiled','',1700000030000000);
INSERT INTO events VALUES(36,'00000000000000000000000000000003','status','queued','Queued','',1700000030000000);
INSERT INTO events VALUES(37,'00000000000000000000000000000003','status','scheduled','Placed','',1700000030000000);
INSERT INTO events VALUES(38,'00000000000000000000000000000003','device','fuse','leased','',1700000030000000);
INSERT INTO events VALUES(39,'00000000000000000000000000000003','status','starting','Accepted','',1700000035000000);
INSERT INTO events VALUES(40,'00000000000000000000000000000003','step','main','started','',1700000032000000);
INSERT INTO events VALUES(41,'00000000000000000000000000000003','status','running','MainStarted','',1700000035000000);
INSERT INTO events VALUES(42,'00000000000000000000000000000003','step','main','exited','signal 9',1700000034000000);
INSERT INTO events VALUES(43,'00000000000000000000000000000003','status','processing','MainFailed','The devices are taken back.',1700000035000000);
INSERT INTO events VALUES(44,'00000000000000000000000000000003','device','fuse','releasing','',1700000035000000);
INSERT INTO events VALUES(45,'00000000000000000000000000000003','status','failed','MainFailed','Main ended with signal 9.',1700000036000000);
INSERT INTO events VALUES(46,'00000000000000000000000000000003','device','fuse','quarantined','python (pid 77, mapping)',1700000036000000);
INSERT INTO events VALUES(47,'00000000000000000000000000000004','status','created','Created','',1700000040000000);
INSERT INTO events VALUES(48,'00000000000000000000000000000004','status','compiled','Compiled','',1700000040000000);
INSERT INTO events VALUES(49,'00000000000000000000000000000004','status','queued','Queued','',1700000040000000);
INSERT INTO events VALUES(50,'00000000000000000000000000000004','status','scheduled','Placed','',1700000040000000);
INSERT INTO events VALUES(51,'00000000000000000000000000000004','device','loop','leased','',1700000040000000);
INSERT INTO events VALUES(52,'00000000000000000000000000000004','status','starting','Accepted','',1700000045000000);
INSERT INTO events VALUES(53,'00000000000000000000000000000004','step','main','started','',1700000042000000);
INSERT INTO events VALUES(54,'00000000000000000000000000000004','status','running','MainStarted','',1700000045000000);
INSERT INTO events VALUES(55,'00000000000000000000000000000005','status','created','Created','',1700000050000000);
INSERT INTO events VALUES(56,'00000000000000000000000000000005','status','compiled','Compiled','',1700000050000000);
INSERT INTO events VALUES(57,'00000000000000000000000000000005','status','queued','Queued','',1700000050000000);
INSERT INTO events VALUES(58,'00000000000000000000000000000005','status','scheduled','Placed','',1700000050000000);
INSERT INTO events VALUES(59,'00000000000000000000000000000005','device','null','leased','',1700000050000000);
INSERT INTO events VALUES(60,'00000000000000000000000000000006','status','created','Created','',1700000051000000);
INSERT INTO events VALUES(61,'00000000000000000000000000000006','status','compiled','Compiled','',1700000051000000);
INSERT INTO events VALUES(62,'00000000000000000000000000000006','status','queued','Queued','',1700000051000000);
INSERT INTO events VALUES(63,'00000000000000000000000000000006','status','queued','Waiting','waits for 1 example.com/fuse (0 there)',1700000051000000);
INSERT INTO events VALUES(64,'00000000000000000000000000000007','status','created','Created','',1700000052000000);
INSERT INTO events VALUES(65,'00000000000000000000000000000007','status','compiled','Compiled','',1700000052000000);
INSERT INTO events VALUES(66,'00000000000000000000000000000007','status','queued','Queued','',1700000052000000);
INSERT INTO events VALUES(67,'00000000000000000000000000000007','status','scheduled','Placed','',1700000052000000);
INSERT INTO events VALUES(68,'00000000000000000000000000000007','status','starting','Accepted','',1700000057000000);
INSERT INTO events VALUES(69,'00000000000000000000000000000007','step','main','started','',1700000054000000);
INSERT INTO events VALUES(70,'00000000000000000000000000000007','status','running','MainStarted','',1700000057000000);
INSERT INTO events VALUES(71,'00000000000000000000000000000007','status','stopping','StopRequested','Asked for by ada.',1700000058000000);
INSERT INTO events VALUES(72,'00000000000000000000000000000008','status','created','Created','',1700000060000000);
INSERT INTO events VALUES(73,'00000000000000000000000000000008','status','compiled','Compiled','',1700000060000000);
INSERT INTO events VALUES(74,'00000000000000000000000000000008','status','queued','Queued','',1700000060000000);
INSERT INTO events VALUES(75,'00000000000000000000000000000008','status','scheduled','Placed','',1700000060000000);
INSERT INTO events VALUES(76,'00000000000000000000000000000008','status','starting','Accepted','',1700000065000000);
INSERT INTO events VALUES(77,'00000000000000000000000000000008','step','main','started','',1700000062000000);
INSERT INTO events VALUES(78,'00000000000000000000000000000008','status','running','MainStarted','',1700000065000000);
INSERT INTO events VALUES(79,'00000000000000000000000000000008','step','main','exited','code 0',1700000064000000);
INSERT INTO events VALUES(80,'00000000000000000000000000000008','status','processing','Completed','',1700000065000000);
INSERT INTO events VALUES(81,'00000000000000000000000000000009','status','created','Created','',1700000070000000);
INSERT INTO events VALUES(82,'00000000000000000000000000000009','status','skipped','ConditionFalse','no',1700000070000000);
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL REFERENCES runs(id),
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    UNIQUE (run, attempt, kind)
) STRICT;
INSERT INTO outbox VALUES(11,'00000000000000000000000000000003',1,'resolve-hooks');
INSERT INTO outbox VALUES(12,'00000000000000000000000000000003',1,'clean-up');
INSERT INTO outbox VALUES(14,'00000000000000000000000000000005',1,'launch');
INSERT INTO outbox VALUES(16,'00000000000000000000000000000007',1,'request-stop');
INSERT INTO outbox VALUES(18,'00000000000000000000000000000008',1,'hand-back');
INSERT INTO outbox VALUES(19,'00000000000000000000000000000009',0,'resolve-hooks');
CREATE TABLE hooks (
    run TEXT NOT NULL REFERENCES runs(id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    trigger TEXT NOT NULL,
    outcome TEXT,
    detail TEXT NOT NULL DEFAULT '',
    hook_run TEXT UNIQUE REFERENCES runs(id),
    decided_at INTEGER,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
INSERT INTO hooks VALUES('00000000000000000000000000000001',0,'notify','inline','done','fired','done','00000000000000000000000000000002',1700000017000000);
INSERT INTO hooks VALUES('00000000000000000000000000000001',1,'upload','inline','done','trigger_mismatch','failed',NULL,1700000017000000);
CREATE TABLE attempts (
    run TEXT NOT NULL REFERENCES runs(id),
    number INTEGER NOT NULL,
    queued_at INTEGER,
    placed_at INTEGER NOT NULL,
    warden TEXT,
    journal_next INTEGER NOT NULL DEFAULT 0,
    accepted_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES('00000000000000000000000000000001',1,1700000000000000,1700000000000000,'{"bootID":"b","cgroupInode":11,"pid":4000011,"slot":"w11","startTime":11}',4,1700000005000000,1700000005000000);
INSERT INTO attempts VALUES('00000000000000000000000000000001',2,1700000006000000,1700000006000000,'{"bootID":"b","cgroupInode":12,"pid":4000012,"slot":"w12","startTime":12}',4,1700000015000000,1700000015000000);
INSERT INTO attempts VALUES('00000000000000000000000000000002',1,1700000017000000,1700000017000000,'{"bootID":"b","cgroupInode":21,"pid":4000021,"slot":"w21","startTime":21}',2,1700000025000000,NULL);
INSERT INTO attempts VALUES('00000000000000000000000000000003',1,1700000030000000,1700000030000000,'{"bootID":"b","cgroupInode":31,"pid":4000031,"slot":"w31","startTime":31}',4,1700000035000000,1700000035000000);
INSERT INTO attempts VALUES('00000000000000000000000000000004',1,1700000040000000,1700000040000000,'{"bootID":"b","cgroupInode":41,"pid":4000041,"slot":"w41","startTime":41}',2,1700000045000000,NULL);
INSERT INTO attempts VALUES('00000000000000000000000000000005',1,1700000050000000,1700000050000000,NULL,0,NULL,NULL);
INSERT INTO attempts VALUES('00000000000000000000000000000007',1,1700000052000000,1700000052000000,'{"bootID":"b","cgroupInode":71,"pid":4000071,"slot":"w71","startTime":71}',2,1700000057000000,NULL);
INSERT INTO attempts VALUES('00000000000000000000000000000008',1,1700000060000000,1700000060000000,'{"bootID":"b","cgroupInode":81,"pid":4000081,"slot":"w81","startTime":81}',4,1700000065000000,1700000065000000);
CREATE TABLE steps (
    run TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    role TEXT NOT NULL,
    pid INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    exit TEXT,
    usage TEXT,
    receipt TEXT,
    PRIMARY KEY (run, attempt, name),
    FOREIGN KEY (run, attempt) REFERENCES attempts(run, number)
) STRICT, WITHOUT ROWID;
INSERT INTO steps VALUES('00000000000000000000000000000001',1,'main',0,'main',7,1700000002000000,1700000004000000,'{"code":3}','{"wallSeconds":2}','{"capabilities":{},"cgroups":{},"deviceFilterPrograms":[],"devices":[],"gid":0,"groups":[],"limits":{},"mounts":0,"namespaces":{},"noNewPrivileges":false,"profile":"main","seccompFilters":0,"seccompMode":0,"seccompProfile":"","sharedNamespaces":[],"uid":0,"writableMounts":[]}');
INSERT INTO steps VALUES('00000000000000000000000000000001',2,'main',0,'main',7,1700000012000000,1700000014000000,'{"code":0}','{"wallSeconds":2}','{"capabilities":{},"cgroups":{},"deviceFilterPrograms":[],"devices":[],"gid":0,"groups":[],"limits":{},"mounts":0,"namespaces":{},"noNewPrivileges":false,"profile":"main","seccompFilters":0,"seccompMode":0,"seccompProfile":"","sharedNamespaces":[],"uid":0,"writableMounts":[]}');
INSERT INTO steps VALUES('00000000000000000000000000000002',1,'main',0,'main',7,1700000022000000,NULL,NULL,NULL,'{"capabilities":{},"cgroups":{},"deviceFilterPrograms":[],"devices":[],"gid":0,"groups":[],"limits":{},"mounts":0,"namespaces":{},"noNewPrivileges":false,"profile":"main","seccompFilters":0,"seccompMode":0,"seccompProfile":"","sharedNamespaces":[],"uid":0,"writableMounts":[]}');
INSERT INTO steps VALUES('00000000000000000000000000000003',1,'main',0,'main',7,1700000032000000,1700000034000000,'{"coreDumped":false,"signal":9}','{"wallSeconds":2}','{"capabilities":{},"cgroups":{},"deviceFilterPrograms":[],"devices":[],"gid":0,"groups":[],"limits":{},"mounts":0,"namespaces":{},"noNewPrivileges":false,"profile":"main","seccompFilters":0,"seccompMode":0,"seccompProfile":"","sharedNamespaces":[],"uid":0,"writableMounts":[]}');
INSERT INTO steps VALUES('00000000000000000000000000000004',1,'main',0,'main',7,1700000042000000,NULL,NULL,NULL,'{"capabilities":{},"cgroups":{},"deviceFilterPrograms":[],"devices":[],"gid":0,"groups":[],"limits":{},"mounts":0,"namespaces":{},"noNewPrivileges":false,"profile":"main","seccompFilters":0,"seccompMode":0,"seccompProfile":"","sharedNamespaces":[],"uid":0,"writableMounts":[]}');
INSERT INTO steps VALUES('00000000000000000000000000000007',1,'main',0,'main',7,1700000054000000,NULL,NULL,NULL,'{"capabilities":{},"cgroups":{},"deviceFilterPrograms":[],"devices":[],"gid":0,"groups":[],"limits":{},"mounts":0,"namespaces":{},"noNewPrivileges":false,"profile":"main","seccompFilters":0,"seccompMode":0,"seccompProfile":"","sharedNamespaces":[],"uid":0,"writableMounts":[]}');
INSERT INTO steps VALUES('00000000000000000000000000000008',1,'main',0,'main',7,1700000062000000,1700000064000000,'{"code":0}','{"wallSeconds":2}','{"capabilities":{},"cgroups":{},"deviceFilterPrograms":[],"devices":[],"gid":0,"groups":[],"limits":{},"mounts":0,"namespaces":{},"noNewPrivileges":false,"profile":"main","seccompFilters":0,"seccompMode":0,"seccompProfile":"","sharedNamespaces":[],"uid":0,"writableMounts":[]}');
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    class TEXT NOT NULL,
    device TEXT NOT NULL,
    is_present INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO devices VALUES('fuse',0,'example.com/fuse','{"deviceClass":"example.com/fuse","id":"fuse","nodes":[{"isShared":false,"major":10,"minor":229,"path":"/dev/fuse"}]}',1);
INSERT INTO devices VALUES('loop',1,'example.com/fuse','{"deviceClass":"example.com/fuse","id":"loop","nodes":[{"isShared":false,"major":10,"minor":229,"path":"/dev/loop"}]}',1);
INSERT INTO devices VALUES('null',2,'example.com/fuse','{"deviceClass":"example.com/fuse","id":"null","nodes":[{"isShared":false,"major":10,"minor":229,"path":"/dev/null"}]}',1);
CREATE TABLE device_intervals (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL REFERENCES devices(id),
    state TEXT NOT NULL,
    run TEXT REFERENCES runs(id),
    attempt INTEGER,
    began_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
INSERT INTO device_intervals VALUES(1,'fuse','idle',NULL,NULL,1700000000000000,1700000000000000);
INSERT INTO device_intervals VALUES(2,'loop','idle',NULL,NULL,1700000000000000,1700000040000000);
INSERT INTO device_intervals VALUES(3,'null','idle',NULL,NULL,1700000000000000,1700000050000000);
INSERT INTO device_intervals VALUES(4,'fuse','allocated','00000000000000000000000000000001',1,1700000000000000,1700000005000000);
INSERT INTO device_intervals VALUES(5,'fuse','releasing','00000000000000000000000000000001',1,1700000005000000,1700000006000000);
INSERT INTO device_intervals VALUES(6,'fuse','idle',NULL,NULL,1700000006000000,1700000006000000);
INSERT INTO device_intervals VALUES(7,'fuse','allocated','00000000000000000000000000000001',2,1700000006000000,1700000015000000);
INSERT INTO device_intervals VALUES(8,'fuse','releasing','00000000000000000000000000000001',2,1700000015000000,1700000016000000);
INSERT INTO device_intervals VALUES(9,'fuse','idle',NULL,NULL,1700000016000000,1700000030000000);
INSERT INTO device_intervals VALUES(10,'fuse','allocated','00000000000000000000000000000003',1,1700000030000000,1700000035000000);
INSERT INTO device_intervals VALUES(11,'fuse','releasing','00000000000000000000000000000003',1,1700000035000000,1700000036000000);
INSERT INTO device_intervals VALUES(12,'fuse','quarantined','00000000000000000000000000000003',1,1700000036000000,NULL);
INSERT INTO device_intervals VALUES(13,'loop','allocated','00000000000000000000000000000004',1,1700000040000000,NULL);
INSERT INTO device_intervals VALUES(14,'null','allocated','00000000000000000000000000000005',1,1700000050000000,NULL);
CREATE TABLE leases (
    run TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    device TEXT NOT NULL REFERENCES devices(id),
    leased_at INTEGER NOT NULL,
    releasing_at INTEGER,
    released_at INTEGER,
    quarantined_at INTEGER,
    evidence TEXT NOT NULL DEFAULT '[]',
    baseline TEXT,
    PRIMARY KEY (run, attempt, device),
    FOREIGN KEY (run, attempt) REFERENCES attempts(run, number)
) STRICT, WITHOUT ROWID;
INSERT INTO leases VALUES('00000000000000000000000000000001',1,'fuse',1700000000000000,1700000005000000,1700000006000000,NULL,'[]',NULL);
INSERT INTO leases VALUES('00000000000000000000000000000001',2,'fuse',1700000006000000,1700000015000000,1700000016000000,NULL,'[]',NULL);
INSERT INTO leases VALUES('00000000000000000000000000000003',1,'fuse',1700000030000000,1700000035000000,NULL,1700000036000000,'[{"command":"python","how":"mapping","node":"/dev/fuse","pid":77,"uid":1000}]',NULL);
INSERT INTO leases VALUES('00000000000000000000000000000004',1,'loop',1700000040000000,NULL,NULL,NULL,'[]',NULL);
INSERT INTO leases VALUES('00000000000000000000000000000005',1,'null',1700000050000000,NULL,NULL,NULL,'[]',NULL);
CREATE TABLE idempotency_keys (
    uid INTEGER NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    run TEXT NOT NULL REFERENCES runs(id),
    at INTEGER NOT NULL,
    PRIMARY KEY (uid, key)
) STRICT, WITHOUT ROWID;
INSERT INTO idempotency_keys VALUES(1000,'k','d','00000000000000000000000000000001',1700000000000000);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('device_intervals',14);
INSERT INTO sqlite_sequence VALUES('runs',9);
INSERT INTO sqlite_sequence VALUES('events',82);
INSERT INTO sqlite_sequence VALUES('outbox',19);
CREATE INDEX runs_by_phase ON runs(phase, number) WHERE phase <> 'finished';
CREATE INDEX runs_by_user ON runs(uid, number);
CREATE INDEX events_by_run ON events(run, sequence);
CREATE UNIQUE INDEX device_open_interval ON device_intervals(device) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX lease_of_device ON leases(device) WHERE released_at IS NULL;
COMMIT;
